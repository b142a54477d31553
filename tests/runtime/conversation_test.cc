// The sentences of engine/api/conversation.h, one by one, on the fake model in simulated time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/recording.h"

namespace parley::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ConversationTest, AnswersATypedQuestion) {
  Bench bench;
  auto conversation = bench.Start();
  auto answer = bench.Ask(conversation.get(), "Hello?");
  ASSERT_EQ(answer->done(), 1);
  EXPECT_EQ(answer->result().reason, FinishReason::kEndOfTurn);
  EXPECT_EQ(answer->result().answer_tokens, 24);
  EXPECT_FALSE(answer->text().empty());
  EXPECT_EQ(answer->chunks().back().second, 24);
}

}  // namespace
}  // namespace parley::engine

// The token list itself, where it is cut, forgotten and compacted.
#include "engine/runtime/conversation_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/text/small_vocabulary.h"

namespace parley::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using PartKind = ConversationHistory::PartKind;

const absl::Time kNow = absl::UnixEpoch();

class HistoryTest : public ::testing::TestWithParam<std::string> {
 protected:
  // Without a system prompt of its own: each family writes what it writes then.
  HistoryTest() { Restart(); }
  void Restart() { history_.emplace(&layout_, "Be brief.", 1000); }

  std::string Text() const {
    std::string text;
    for (const TokenId id : history_->tokens()) {
      text += tokenizer_->IsControl(id) ? names_[id] : std::string(tokenizer_->Decode(id));
    }
    return text;
  }
  void Say(const std::string& words) { ASSERT_GT(history_->AppendPart(PartKind::kText, words, kNow), 0); }
  void Show(const std::string& words) { ASSERT_GT(history_->AppendPart(PartKind::kFrame, words, kNow), 0); }
  void Answer(AnswerId id, const std::string& words) {
    ASSERT_TRUE(history_->OpenAnswer(id));
    for (const TokenId token : tokenizer_->Encode(words, text::SpecialTokens::kRefuse)) {
      history_->AppendAnswerToken(token);
    }
    history_->CloseAnswer(1000);
  }
  // A conversation of this one's turns `from` on, from its beginning.
  void Talk(int from) {
    if (from <= 0) Say("One?"), Answer(1, "1");
    if (from <= 1) Show("A cat."), Say("Two?"), Answer(2, "22");
    if (from <= 2) Say("Three?"), Show("A dog."), Answer(3, "333");
  }

  std::unique_ptr<text::Tokenizer> tokenizer_ = text::Tokenizer::Create(text::SmallVocabulary()).value();
  std::vector<std::string> names_ = text::SmallVocabulary().tokens;
  text::PromptLayout layout_ =
      text::PromptLayout::Create({.family = GetParam(), .separator = " "}, tokenizer_.get()).value();
  std::optional<ConversationHistory> history_;
};
INSTANTIATE_TEST_SUITE_P(Families, HistoryTest, ::testing::Values("chatml", "llama-3", "llama-2", "mistral"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST_P(HistoryTest, ACompactedConversationIsOneOfTheTurnsThatStay) {
  for (int dropped = 1; dropped <= 3; ++dropped) {
    Restart();
    Talk(dropped);
    const std::string expected = Text();
    Restart();
    Talk(0);
    history_->TakeValidPrefix();
    history_->Compact(dropped);
    EXPECT_EQ(Text(), expected);
    EXPECT_EQ(history_->TakeValidPrefix(), history_->system_size());
    // And it goes on as one.
    Say("Four?");
    Answer(4, "4444");
    EXPECT_THAT(Text(), ::testing::StartsWith(expected));
    EXPECT_EQ(history_->TrimAnswer(1, 0), false);
    EXPECT_EQ(history_->TrimAnswer(3, 1), dropped < 3);
    EXPECT_EQ(Text().find("Three? A dog.") != std::string::npos, dropped < 3);
    EXPECT_THAT(Text(), Not(HasSubstr("333")));
  }
}

TEST_P(HistoryTest, AnOpenTurnStays) {
  Talk(0);
  Say("Four?");
  EXPECT_EQ(history_->PlanCompaction(0, 0).turns, 3);
  history_->Compact(3);
  EXPECT_THAT(Text(), HasSubstr("Four?"));
  EXPECT_THAT(Text(), Not(HasSubstr("Three?")));
  history_->Abandon();
  EXPECT_EQ(history_->size(), history_->system_size());
  EXPECT_FALSE(history_->turn_open());
}

TEST_P(HistoryTest, ForgottenFramesKeepTheirPositionsUntilACutFurtherUp) {
  Talk(0);
  const int size = history_->size();
  const ConversationHistory::Frame cat = history_->oldest_frame();
  history_->ForgetOldestFrame(size);
  EXPECT_EQ(history_->size(), size);
  EXPECT_EQ(history_->held(), size - (cat.end - cat.begin));
  EXPECT_THAT(Text(), HasSubstr("A dog."));
  EXPECT_EQ(history_->TakeValidPrefix(), size);
  ASSERT_TRUE(history_->TrimAnswer(1, 0));
  EXPECT_THAT(Text(), Not(HasSubstr("A cat.")));
  EXPECT_EQ(history_->size(), history_->held());
  EXPECT_EQ(history_->size(), size - 1 - (cat.end - cat.begin));
  EXPECT_LT(history_->TakeValidPrefix(), cat.begin);
}

TEST_P(HistoryTest, FramesHavePagesOfTheirOwn) {
  Talk(0);
  std::vector<int> starts;
  history_->PageStarts(0, history_->size(), starts);
  ASSERT_EQ(starts.size(), 5u);
  EXPECT_EQ(starts[0], history_->system_size());
  EXPECT_EQ(starts[1], history_->oldest_frame().begin);
  EXPECT_EQ(starts[2], history_->oldest_frame().end);
  std::vector<int> part;
  history_->PageStarts(starts[2] + 1, starts[3] + 1, part);
  EXPECT_THAT(part, ElementsAre(starts[3] - starts[2] - 1));
}

TEST_P(HistoryTest, CompactionsPlanNoMoreThanIsWanted) {
  Talk(0);
  const int all = history_->held();
  EXPECT_EQ(history_->PlanCompaction(all, all).turns, 0);
  EXPECT_EQ(history_->PlanCompaction(all - 1, all).turns, 1);
  EXPECT_EQ(history_->PlanCompaction(0, all).turns, 2);  // the newest stays
  EXPECT_EQ(history_->PlanCompaction(0, 0).turns, 3);
  EXPECT_EQ(history_->PlanCompaction(all, all - 1).turns, 1);
}

}  // namespace
}  // namespace parley::engine

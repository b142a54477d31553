#include "engine/schedule/call_load.h"

#include <gtest/gtest.h>

namespace parley::engine::schedule {
namespace {

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

// `calls` conversations from `begin` to `end`, each of which works `share` of the time.
void Talk(CallLoad& load, int calls, double share, int begin, int end) {
  load.SetConversations(calls, At(begin));
  for (int second = begin; second < end; ++second) load.AddWork(absl::Seconds(calls * share), At(second + 1));
}

TEST(CallLoad, GuessesBeforeThereIsSomethingToGoBy) {
  CallLoad load;
  EXPECT_DOUBLE_EQ(load.PerConversation(At(0)), 0.01);
  load.AddWork(absl::Milliseconds(80), At(1));  // a warm-up
  EXPECT_NEAR(load.PerConversation(At(2)), 0.011, 0.001);
}

TEST(CallLoad, IsWhatEachConversationTakes) {
  CallLoad load;
  Talk(load, 30, 0.02, 0, 60);
  EXPECT_NEAR(load.PerConversation(At(60)), 0.02, 0.001);
}

TEST(CallLoad, FollowsWhenCallsBecomeHeavier) {
  CallLoad load;
  Talk(load, 30, 0.01, 0, 120);
  Talk(load, 30, 0.05, 120, 180);
  EXPECT_NEAR(load.PerConversation(At(180)), 0.045, 0.005);
}

TEST(CallLoad, NewConversationsCountAsTheyTalk) {
  CallLoad load;
  Talk(load, 10, 0.02, 0, 60);
  const double before = load.PerConversation(At(60));
  load.SetConversations(100, At(60));  // ninety more, which have done nothing yet
  EXPECT_NEAR(load.PerConversation(At(60.1)), before, 0.001);
}

TEST(CallLoad, WithoutConversationsItReturnsToTheGuess) {
  CallLoad load;
  Talk(load, 30, 0.05, 0, 60);
  load.SetConversations(0, At(60));
  EXPECT_NEAR(load.PerConversation(At(600)), 0.01, 0.001);
}

}  // namespace
}  // namespace parley::engine::schedule

#include "clients/cpp/parley_call/progress.h"

#include <thread>

#include "gtest/gtest.h"

namespace parley::client {
namespace {

v1::ServerMessage Turn(uint64_t turn_id, void (*set)(v1::ServerMessage&)) {
  v1::ServerMessage event;
  event.set_turn_id(turn_id);
  set(event);
  return event;
}

TEST(ProgressTest, SettledMeansEveryCommittedTurnIsAnswered) {
  Progress progress;
  progress.Observe(Turn(1, [](auto& event) { event.mutable_turn_committed(); }));
  std::thread server([&] { progress.Observe(Turn(1, [](auto& event) { event.mutable_response_done(); })); });
  EXPECT_TRUE(progress.WaitSettled(absl::ZeroDuration()));
  EXPECT_EQ(progress.answers(), 1);
  server.join();
}

TEST(ProgressTest, ATurnWithoutWordsOwesNoAnswer) {
  Progress progress;
  progress.Observe(Turn(1, [](auto& event) { event.mutable_turn_committed(); }));
  progress.Observe(Turn(1, [](auto& event) { event.mutable_transcript(); }));
  EXPECT_TRUE(progress.WaitSettled(absl::ZeroDuration()));
}

TEST(ProgressTest, EveryWaitEndsWithTheCallOrWithStop) {
  Progress ended;
  std::thread server([&] { ended.CallEnded(); });
  EXPECT_FALSE(ended.WaitReady());
  EXPECT_FALSE(ended.WaitAnswer(2, 0));
  EXPECT_FALSE(ended.WaitFrame(1));
  EXPECT_FALSE(ended.SleepUntil(absl::InfiniteFuture()));
  server.join();

  Progress stopped;
  stopped.Stop();
  EXPECT_FALSE(stopped.WaitReady());
}

TEST(ProgressTest, ARefusedTextIsNotWaitedFor) {
  Progress progress;
  v1::ServerMessage error;
  error.mutable_error()->set_client_seq(5);
  progress.Observe(error);
  EXPECT_TRUE(progress.WaitAnswer(5, 0));
}

}  // namespace
}  // namespace parley::client

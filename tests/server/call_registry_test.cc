#include "server/call_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "absl/synchronization/notification.h"

namespace parley::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

class StubCall final : public RegisteredCall {
 public:
  absl::Notification admitted;

  void Admit() override { admitted.Notify(); }
  void Wait(QueuePlace) override {}
  void Tick(absl::Time) override {}
  void Drain(absl::Duration) override {}
  void Cut(Fault) override {}
};

class CallRegistryTest : public ::testing::Test {
 protected:
  CallRegistryTest() { registry_.SetReady(); }
  ~CallRegistryTest() override {
    for (const auto& call : calls_) registry_.Remove(call.get());
  }

  CallRegistry::Admission Arrive() {
    calls_.push_back(std::make_shared<StubCall>());
    return registry_.Add(calls_.back());
  }

  SimulatedClock clock_;
  std::vector<std::shared_ptr<StubCall>> calls_;
  // A tick never comes by itself.
  CallRegistry registry_{{.max_calls = 2,
                          .max_waiting = 2,
                          .max_wait = absl::Hours(2),
                          .retry_after = absl::Seconds(2),
                          .tick = absl::Hours(1)},
                         &clock_,
                         [] {}};
};

TEST_F(CallRegistryTest, AWaitIsEstimatedByHowLongCallsLastedAndHowManyAreHere) {
  Arrive();
  Arrive();
  clock_.Advance(absl::Seconds(30));
  registry_.Remove(calls_[0].get());
  EXPECT_EQ(Arrive().waits, std::nullopt);
  EXPECT_THAT(Arrive().waits->estimated_wait, Optional(absl::Seconds(15)));
  EXPECT_THAT(Arrive().waits->estimated_wait, Optional(absl::Seconds(30)));
  const Fault refused = Arrive().refused.value();
  EXPECT_EQ(refused.code, v1::AT_CAPACITY);
  EXPECT_EQ(refused.retry_after_ms, 45'000u);
  EXPECT_EQ(registry_.calls(), 2);
  EXPECT_EQ(registry_.waiting(), 2);
}

TEST_F(CallRegistryTest, TheAdviceToARefusedCallIsAtLeastTheConfiguredAndAtMostAMinute) {
  for (int i = 0; i < 4; ++i) Arrive();
  EXPECT_EQ(Arrive().refused.value().retry_after_ms, 2'000u);  // no call has ended yet
  clock_.Advance(absl::Hours(1));
  registry_.Remove(calls_[0].get());
  calls_[2]->admitted.WaitForNotification();
  Arrive();
  EXPECT_EQ(Arrive().refused.value().retry_after_ms, 60'000u);
}

TEST_F(CallRegistryTest, NobodyGetsInBeforeThoseWhoWait) {
  Arrive();
  Arrive();
  ASSERT_EQ(Arrive().waits->position, 1);
  registry_.SetEngineRoom(0, 0, "a test");
  registry_.Remove(calls_[0].get());
  EXPECT_EQ(Arrive().waits->position, 2);
}

TEST_F(CallRegistryTest, AFullEngineIsNamedToWhoIsRefused) {
  registry_.SetEngineRoom(0, 0, "its memory is promised");
  ASSERT_EQ(Arrive().waits->position, 1);
  ASSERT_EQ(Arrive().waits->position, 2);
  EXPECT_THAT(Arrive().refused.value().message,
              HasSubstr("has 0 calls and takes no more now: its memory is promised, and 2 wait"));
}

TEST_F(CallRegistryTest, ABurstGetsNoMorePlacesThanTheEngineHas) {
  registry_.SetEngineRoom(0, 1, "a test");
  EXPECT_EQ(Arrive().waits, std::nullopt);
  EXPECT_EQ(Arrive().waits->position, 1);
}

TEST_F(CallRegistryTest, AConversationThatIsStillBeingFreedMakesNoRoom) {
  registry_.SetEngineRoom(1, 0, "a test");  // of a call that is gone already
  EXPECT_EQ(Arrive().waits->position, 1);
}

TEST_F(CallRegistryTest, AServerThatIsNotReadyLetsNobodyWait) {
  registry_.SetUnready(MakeFault(v1::ENGINE_FAILED, "lost"));
  EXPECT_EQ(Arrive().refused.value().code, v1::ENGINE_FAILED);
  registry_.SetReady();
  EXPECT_EQ(Arrive().refused, std::nullopt);
}

}  // namespace
}  // namespace parley::server

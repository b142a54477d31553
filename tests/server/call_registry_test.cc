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
  void Cut(Fault fault) override { cut = std::move(fault); }
  std::optional<Fault> cut;
};

class CallRegistryTest : public ::testing::Test {
 protected:
  CallRegistryTest() { registry_.SetReady(); }
  ~CallRegistryTest() override {
    for (const auto& call : calls_) registry_.Remove(call.get());
  }

  CallRegistry::Admission Arrive(const std::string& peer = "") {
    calls_.push_back(std::make_shared<StubCall>());
    if (std::optional<Fault> refused = registry_.Arrive(calls_.back(), peer); refused.has_value()) {
      return {.refused = std::move(refused)};
    }
    return registry_.Enter(calls_.back().get());
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

TEST_F(CallRegistryTest, AStreamThatOpensNoCallTakesNoPlace) {
  for (int i = 0; i < 100; ++i) {
    calls_.push_back(std::make_shared<StubCall>());
    EXPECT_EQ(registry_.Arrive(calls_.back(), ""), std::nullopt);
  }
  EXPECT_EQ(registry_.calls(), 0);
  EXPECT_EQ(Arrive().refused, std::nullopt);
  EXPECT_EQ(registry_.calls(), 1);
}

TEST(Opening, OneStreamTooManyEndsTheOldestAndTheNewestIsHeard) {
  CallRegistry registry({.max_calls = 2, .max_opening = 2, .tick = absl::Hours(1)}, Clock::Real(), [] {});
  registry.SetReady();
  std::vector<std::shared_ptr<StubCall>> calls;
  for (int i = 0; i < 3; ++i) {
    calls.push_back(std::make_shared<StubCall>());
    EXPECT_EQ(registry.Arrive(calls.back(), ""), std::nullopt);
  }
  ASSERT_TRUE(calls[0]->cut.has_value());
  EXPECT_EQ(calls[0]->cut->code, v1::DEADLINE);
  EXPECT_FALSE(calls[1]->cut.has_value());
  EXPECT_TRUE(registry.Enter(calls[0].get()).refused.has_value());  // it was just about to
  EXPECT_FALSE(registry.Enter(calls[2].get()).refused.has_value());
  for (const auto& call : calls) registry.Remove(call.get());
}

class OnePeer : public ::testing::Test {
 protected:
  OnePeer() { registry_.SetReady(); }
  ~OnePeer() override {
    for (const auto& call : calls_) registry_.Remove(call.get());
  }
  // The fault's words; empty: it came in, or waits.
  std::string Arrive(const std::string& peer) {
    calls_.push_back(std::make_shared<StubCall>());
    std::optional<Fault> refused = registry_.Arrive(calls_.back(), peer);
    if (!refused.has_value()) refused = registry_.Enter(calls_.back().get()).refused;
    if (!refused.has_value()) return "";
    EXPECT_EQ(refused->code, v1::AT_CAPACITY);
    EXPECT_EQ(refused->retry_after_ms, 2'000u);
    return refused->message;
  }

  std::vector<std::shared_ptr<StubCall>> calls_;
  CallRegistry registry_{{.max_calls = 4,
                          .max_waiting = 4,
                          .max_calls_per_peer = 3,
                          .max_waiting_per_peer = 2,
                          .max_wait = absl::Hours(2),
                          .retry_after = absl::Seconds(2),
                          .tick = absl::Hours(1)},
                         Clock::Real(),
                         [] {}};
};

TEST_F(OnePeer, HasSoManyCallsAndTheOthersHaveTheRest) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Arrive("192.0.2.1"), "");
  EXPECT_THAT(Arrive("192.0.2.1"), HasSubstr("this address has 3 calls"));
  EXPECT_EQ(Arrive("192.0.2.2"), "");
  EXPECT_EQ(registry_.calls(), 4);
  registry_.Remove(calls_[0].get());
  EXPECT_EQ(Arrive("192.0.2.1"), "");
}

TEST_F(OnePeer, HasSoManyThatWaitAndTheOthersHaveTheRest) {
  registry_.SetEngineRoom(0, 0, "a test");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Arrive("192.0.2.1"), "");
  EXPECT_THAT(Arrive("192.0.2.1"), HasSubstr("this address has 2 calls that wait"));
  EXPECT_EQ(Arrive("192.0.2.2"), "");
  EXPECT_EQ(registry_.waiting(), 3);
}

TEST_F(OnePeer, HasSoManyStreamsEvenIfTheyOpenNoCall) {
  std::optional<Fault> last;
  for (int i = 0; i < 6; ++i) {
    calls_.push_back(std::make_shared<StubCall>());
    EXPECT_FALSE(last.has_value());
    last = registry_.Arrive(calls_.back(), "192.0.2.1");
  }
  EXPECT_THAT(last.value().message, HasSubstr("this address has 5 streams"));
  EXPECT_EQ(Arrive("192.0.2.2"), "");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Arrive(""), "");  // counted to nobody
}

}  // namespace
}  // namespace parley::server

// Who gets a place, who waits for one, who is refused; and what becomes of calls whose engine stands still.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/running_clock.h"
#include "tests/server/server_harness.h"

namespace parley::server {
namespace {

using M = v1::ServerMessage;
using ::testing::HasSubstr;

TestSetup OnePlace() {
  TestSetup setup;
  setup.server.max_calls = 1;
  setup.server.max_wait = kPatience;
  return setup;
}

void OpenAndAwaitReady(TestCall& call) {
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
}

TEST(Admission, WithoutAQueueCallsOverCapacityAreRefusedUntilOneEnds) {
  TestSetup setup = OnePlace();
  setup.server.max_waiting = 0;
  TestServer server(setup);
  const auto channel = server.NewChannel();
  {
    TestCall first(channel);
    OpenAndAwaitReady(first);
    TestCall second(channel);
    ASSERT_TRUE(second.Open({}));
    const M error = second.Await(M::kError);
    EXPECT_EQ(error.error().code(), v1::AT_CAPACITY);
    EXPECT_EQ(error.error().retry_after_ms(), 2'000u);
    EXPECT_EQ(second.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    first.Close();
    EXPECT_TRUE(first.Finish().ok());
  }
  ASSERT_TRUE(Eventually([&] { return server.server().live_calls() == 0; }));
  TestCall third(channel);
  OpenAndAwaitReady(third);
}

TEST(Admission, ACallOverCapacityWaitsForAPlaceAndThenIsServed) {
  TestServer server(OnePlace());
  const auto channel = server.NewChannel();
  TestCall first(channel);
  OpenAndAwaitReady(first);
  TestCall second(channel);
  ASSERT_TRUE(second.Open({}));  // unread until it has its place
  const v1::AdmissionStatus status = second.Await(M::kAdmission).admission();
  EXPECT_EQ(status.position(), 1u);
  EXPECT_FALSE(status.has_estimated_wait_ms());  // no call has ended yet
  EXPECT_EQ(status.wait_limit_ms(), absl::ToInt64Milliseconds(kPatience));
  EXPECT_EQ(server.conversations(), 1);
  first.Close();
  EXPECT_TRUE(first.Finish().ok());
  second.Await(M::kReady);
  second.SendText("Is it my turn?");
  second.Await(M::kResponseDone);
  second.Close();
  EXPECT_TRUE(second.Finish().ok());
}

TEST(Admission, WhoWaitsTooLongIsToldWhenToTryAgain) {
  SimulatedClock clock;
  TestSetup setup = Simulated(&clock);
  setup.server.max_calls = 1;
  setup.server.max_wait = absl::Seconds(10);
  TestServer server(setup);
  TestCall first(server.NewChannel());
  OpenAndAwaitReady(first);
  TestCall second(server.NewChannel());
  ASSERT_TRUE(second.Open({}));
  second.Await(M::kAdmission);
  const v1::Error error = second.AwaitWhileTimePasses(M::kError, clock, absl::Seconds(10)).error();
  EXPECT_EQ(error.code(), v1::AT_CAPACITY);
  EXPECT_EQ(error.retry_after_ms(), 2'000u);
  EXPECT_THAT(error.message(), HasSubstr("no place was free within 10s"));
  EXPECT_EQ(second.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(Admission, OneThatLeavesTheQueueMakesRoomForTheNext) {
  TestSetup setup = OnePlace();
  setup.server.max_waiting = 2;
  TestServer server(setup);
  const auto channel = server.NewChannel();
  TestCall first(channel);
  OpenAndAwaitReady(first);
  TestCall second(channel);
  ASSERT_TRUE(second.Open({}));
  EXPECT_EQ(second.Await(M::kAdmission).admission().position(), 1u);
  TestCall third(channel);
  ASSERT_TRUE(third.Open({}));
  EXPECT_EQ(third.Await(M::kAdmission).admission().position(), 2u);
  TestCall fourth(channel);
  ASSERT_TRUE(fourth.Open({}));
  EXPECT_EQ(fourth.Await(M::kError).error().code(), v1::AT_CAPACITY);
  second.Cancel();
  EXPECT_EQ(third.Await(M::kAdmission).admission().position(), 1u);
  first.Cancel();
  third.Await(M::kReady);
}

TEST(Admission, SixtyFourCallsThatComeAtOnceAreAllServedInTurn) {
  TestSetup setup;
  setup.server.max_calls = 8;
  setup.server.max_waiting = 64;
  setup.server.max_wait = kPatience;
  TestServer server(setup);
  std::vector<std::thread> callers;
  std::atomic<int> served = 0;
  for (int i = 0; i < 64; ++i) {
    callers.emplace_back([&] {
      TestCall call(server.NewChannel());
      call.Open({});
      call.Await(M::kReady);
      EXPECT_LE(server.server().live_calls(), 8);
      call.SendText("Who is first?");
      call.Await(M::kResponseDone);
      call.Close();
      if (call.Finish().ok()) ++served;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(served, 64);
  EXPECT_TRUE(Eventually([&] { return server.conversations() == 0 && server.server().live_calls() == 0; }));
}

TEST(Admission, ACallThatMemoryCannotBeKeptForWaitsUntilAnotherEnds) {
  TestSetup setup;
  setup.fake.kv_bytes = 12 * engine::kFakePageBytes;  // a call is promised six, two of them shared
  setup.fake.runtime.promised_tokens = 64;
  setup.server.max_wait = kPatience;
  TestServer server(setup);
  TestCall first(server.NewChannel());
  TestCall second(server.NewChannel());
  for (TestCall* call : {&first, &second}) OpenAndAwaitReady(*call);
  TestCall third(server.NewChannel());
  ASSERT_TRUE(third.Open({}));
  EXPECT_EQ(third.Await(M::kAdmission).admission().position(), 1u);
  first.Close();
  EXPECT_TRUE(first.Finish().ok());
  third.Await(M::kReady);
  third.SendText("Is there room?");
  EXPECT_EQ(third.Await(M::kResponseDone).response_done().finish_reason(), v1::ResponseDone::END_OF_TURN);
}

void ACallWaitsUntilTheEngineHasRested(TestServer& server, SimulatedClock& clock, absl::Duration rest) {
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kAdmission);
  clock.Advance(rest);  // once: with its place begins its time to open the call
  call.Await(M::kReady);
}

TEST(Admission, NoCallIsLetInWhileAnswersComeTooSlowly) {
  SimulatedClock clock;
  TestSetup setup = Simulated(&clock);
  setup.fake.simulated = &clock;
  setup.fake.step_time = absl::Milliseconds(400);
  TestServer server(setup);
  TestCall first(server.NewChannel());
  OpenAndAwaitReady(first);
  first.SendText("Speak slowly.");
  first.Await(M::kResponseDone);
  ASSERT_GT(server.engine().stats().token_interval, absl::Milliseconds(250));
  ACallWaitsUntilTheEngineHasRested(server, clock, absl::Seconds(5));
}

TEST(Admission, NoMoreCallsAreLetInThanTheEngineHasTimeFor) {
  SimulatedClock clock;
  TestSetup setup = Simulated(&clock);
  setup.fake.simulated = &clock;
  setup.fake.transcription_time = absl::Seconds(20);
  TestServer server(setup);
  // A caller who keeps the engine busy: another one like that is too much.
  auto conversation = *server.engine().StartConversation({});
  std::atomic<bool> heard = false;
  conversation->AppendSpeech(std::vector<float>(5 * engine::kSampleRateHz),
                             [&](absl::StatusOr<engine::SpeechResult>) { heard = true; });
  ASSERT_TRUE(Eventually([&] { return heard.load(); }));
  ASSERT_GT(server.engine().stats().conversation_load, 0.35);
  ACallWaitsUntilTheEngineHasRested(server, clock, absl::Minutes(5));
}

TEST(Peers, AreTheOnesThatTheProxyAtTheSocketFileNames) {
  TestSetup setup;
  setup.at_socket_file = true;
  setup.server.max_calls = 4;
  setup.server.max_calls_per_peer = 1;
  TestServer server(setup);
  const auto channel = server.NewChannel();
  TestCall first(channel, true, {{"x-parley-peer", "2001:db8::1"}});
  OpenAndAwaitReady(first);
  TestCall neighbour(channel, true, {{"x-parley-peer", "2001:db8::2"}});  // of the same network
  ASSERT_TRUE(neighbour.Open({}));
  EXPECT_THAT(neighbour.Await(M::kError).error().message(), HasSubstr("this address has 1 calls"));
  TestCall other(channel, true, {{"x-parley-peer", "192.0.2.1"}});
  OpenAndAwaitReady(other);
  TestCall unnamed(channel);  // a process of this machine that speaks for itself
  OpenAndAwaitReady(unnamed);
  TestCall wrong(channel, true, {{"x-parley-peer", "somebody"}});
  EXPECT_THAT(wrong.Await(M::kError).error().message(), HasSubstr("x-parley-peer is not an IP address"));
}

TEST(Peers, AreNotWhatTheySayThemselvesOverTcp) {
  TestSetup setup;
  setup.server.max_calls_per_peer = 1;
  TestServer server(setup);
  TestCall first(server.NewChannel(), true, {{"x-parley-peer", "192.0.2.1"}});
  OpenAndAwaitReady(first);
  TestCall second(server.NewChannel(), true, {{"x-parley-peer", "192.0.2.2"}});
  ASSERT_TRUE(second.Open({}));
  EXPECT_EQ(second.Await(M::kError).error().code(), v1::AT_CAPACITY);
}

TEST(Peers, OfThisMachineAreNotLimitedUnlessAskedFor) {
  TestSetup setup;
  setup.server.max_calls = 4;
  TestServer server(setup);
  std::vector<std::unique_ptr<TestCall>> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(std::make_unique<TestCall>(server.NewChannel()));
    OpenAndAwaitReady(*calls.back());
  }
}

TEST(Watchdog, AnEngineThatStandsStillIsNotServingAndItsCallsEnd) {
  SimulatedClock clock;
  TestSetup setup = Simulated(&clock);
  setup.server.engine_stall = absl::Seconds(10);
  setup.fake.faults = std::make_shared<engine::FakeFaults>();
  TestServer server(setup);
  const auto channel = server.NewChannel();
  TestCall call(channel);
  OpenAndAwaitReady(call);
  ASSERT_EQ(Health(channel), 1);
  setup.fake.faults->Stall();
  call.SendText("Are you there?");
  ASSERT_TRUE(Eventually([&] {
    clock.Advance(absl::Milliseconds(100));
    return server.engine().stats().pass_age > absl::Seconds(1);
  }));
  EXPECT_EQ(Health(channel), 1);
  const v1::Error error = call.AwaitWhileTimePasses(M::kError, clock, absl::Seconds(10)).error();
  EXPECT_EQ(error.code(), v1::ENGINE_FAILED);
  EXPECT_TRUE(error.retryable());
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Health(channel), 2);
  EXPECT_EQ(Health(channel, "parley.v1.Parley"), 2);
  {
    TestCall refused(channel);
    EXPECT_EQ(refused.Await(M::kError).error().code(), v1::ENGINE_FAILED);
  }
  setup.fake.faults->Resume();
  ASSERT_TRUE(Eventually([&] { return Health(channel) == 1; }));
  TestCall next(channel);
  OpenAndAwaitReady(next);
  EXPECT_TRUE(Eventually([&] { return server.conversations() == 1; }));  // the lost one is freed
}

TEST(Watchdog, AServerThatStoodStillItselfEndsNoCall) {
  SimulatedClock machine;
  const RunningClock clock(&machine);
  TestSetup setup = Simulated(&machine);
  setup.clock = &clock;
  setup.server.engine_stall = absl::Seconds(10);
  setup.fake.faults = std::make_shared<engine::FakeFaults>();
  TestServer server(setup);
  const auto channel = server.NewChannel();
  TestCall call(channel);
  OpenAndAwaitReady(call);
  setup.fake.faults->Stall();
  call.SendText("Are you there?");
  const auto pass_age = [&] { return server.engine().stats().pass_age; };
  ASSERT_TRUE(Eventually([&] {
    machine.Advance(absl::Milliseconds(100));
    return pass_age() > absl::Seconds(1);
  }));
  machine.Advance(absl::Hours(1));
  EXPECT_LT(pass_age(), absl::Seconds(2));
  setup.fake.faults->Resume();
  call.Await(M::kResponseDone);
  EXPECT_EQ(Health(channel), 1);
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
}

}  // namespace
}  // namespace parley::server

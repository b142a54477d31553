// Calls over a real connection: what a client that behaves gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/server_harness.h"

namespace parley::server {
namespace {

using M = v1::ServerMessage;
using ::testing::HasSubstr;

void ExpectGoodEnvelopes(const std::vector<M>& messages) {
  uint64_t seq = 0;
  uint64_t epoch = 0;
  for (const M& message : messages) {
    EXPECT_EQ(message.seq(), ++seq);
    EXPECT_GT(message.server_time_us(), 0u);
    EXPECT_GE(message.epoch(), epoch) << message.ShortDebugString();
    epoch = message.epoch();
  }
}

TEST(CallRpc, SpokenTurnGivesSpeechEventsTranscriptTokensAndMetrics) {
  TestServer server;
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open(AudioConfig()));
  const M ready = call.Await(M::kReady);
  EXPECT_EQ(ready.ready().config().turn().silence_ms(), 500u);
  EXPECT_EQ(ready.ready().server_config().at("max-calls"), "16");
  call.SendSilence(200);
  call.SendSpeech(1'000);
  call.SendSilence(1'000);
  call.Await(M::kSpeechStarted);
  call.Await(M::kSpeechStopped);
  EXPECT_EQ(call.Await(M::kTurnCommitted).turn_committed().reason(), v1::TurnCommitted::SILENCE);
  EXPECT_NE(call.Await(M::kTranscript).transcript().text(), "");
  const uint64_t response = call.Await(M::kResponseStarted).response_id();
  EXPECT_EQ(response, 1u);
  const M done = call.Await(M::kResponseDone);
  EXPECT_EQ(done.response_done().finish_reason(), v1::ResponseDone::END_OF_TURN);
  EXPECT_GT(done.response_done().usage().answer_tokens(), 0u);
  const M metrics = call.Await(M::kMetrics);
  EXPECT_GT(metrics.metrics().answer_tokens(), 0u);
  EXPECT_GT(metrics.metrics().response_latency_us(), 0u);
  EXPECT_GE(metrics.metrics().speech_ms(), 900u);
  ASSERT_TRUE(call.Close());
  EXPECT_TRUE(call.Finish().ok());
  EXPECT_NE(AnswerText(call.messages(), response), "");
  ExpectGoodEnvelopes(call.messages());
  EXPECT_TRUE(Eventually([&] { return server.conversations() == 0; }));
}

TEST(CallRpc, SeveralTurnsSpokenAndTypedInOneCall) {
  TestServer server;
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open(AudioConfig()));
  for (uint64_t turn = 1; turn <= 3; ++turn) {
    if (turn == 2) {
      call.SendText("What do you see?");
      EXPECT_EQ(call.Await(M::kTurnCommitted).turn_committed().reason(), v1::TurnCommitted::TEXT);
    } else {
      call.SendSpeech(800);
      call.SendSilence(800);
      call.Await(M::kTurnCommitted);
    }
    const M done = call.Await(M::kResponseDone);
    EXPECT_EQ(done.turn_id(), turn);
    EXPECT_EQ(done.response_id(), turn);
  }
  call.HalfClose();
  EXPECT_TRUE(call.Finish().ok());
  ExpectGoodEnvelopes(call.messages());
}

TEST(CallRpc, HalfCloseFinishesTheAnswerThatIsOwed) {
  TestServer server;
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open({}));
  call.SendText("Tell me something.");
  call.HalfClose();
  call.Await(M::kResponseDone);
  EXPECT_TRUE(call.Finish().ok());
}

TEST(CallRpc, PingIsAnsweredAndUpdateEchoesWhatIsInForce) {
  TestServer server;
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open(AudioConfig()));
  call.Await(M::kReady);
  v1::ClientMessage ping;
  ping.mutable_ping()->set_nonce(77);
  call.Send(ping);
  EXPECT_EQ(call.Await(M::kPong).pong().nonce(), 77u);
  v1::ClientMessage update;
  update.mutable_update()->mutable_config()->mutable_turn()->set_silence_ms(900);
  update.mutable_update()->mutable_update_mask()->add_paths("turn.silence_ms");
  call.Send(update);
  const M ready = call.Await(M::kReady);
  EXPECT_EQ(ready.ready().config().turn().silence_ms(), 900u);
  EXPECT_EQ(ready.ready().config().audio().sample_rate_hz(), 16'000u);
}

// The answer's text ends with Interrupted: nothing of it comes after.
TEST(CallRpc, SpeakingOverAnAnswerInterruptsItForGood) {
  TestSetup setup;
  setup.fake.answer_tokens = 900;
  setup.fake.step_time = absl::Milliseconds(2);
  TestServer server(setup);
  TestCall call(server.NewChannel());
  v1::SessionConfig config = AudioConfig();
  config.mutable_generation()->set_max_tokens(900);
  ASSERT_TRUE(call.Open(config));
  call.SendText("Tell me a long story.");
  call.Await(M::kToken);
  call.SendSpeech(900);
  const M interrupted = call.Await(M::kInterrupted);
  EXPECT_EQ(interrupted.response_id(), 1u);
  EXPECT_GE(interrupted.interrupted().speech_ms(), 500u);
  EXPECT_EQ(call.Await(M::kResponseDone).response_done().finish_reason(), v1::ResponseDone::INTERRUPTED);
  call.SendSilence(800);
  call.Await(M::kTurnCommitted);
  call.Await(M::kToken);
  call.Cancel();
  call.Finish();
  bool over = false;
  for (const M& message : call.messages()) {
    over = over || message.has_interrupted();
    EXPECT_FALSE(over && message.has_token() && message.response_id() == 1) << message.ShortDebugString();
  }
  ExpectGoodEnvelopes(call.messages());
}

TEST(CallRpc, ResponseCancelStopsTheAnswer) {
  TestSetup setup;
  setup.fake.answer_tokens = 900;
  setup.fake.step_time = absl::Milliseconds(2);
  TestServer server(setup);
  TestCall call(server.NewChannel());
  v1::SessionConfig config;
  config.mutable_generation()->set_max_tokens(900);
  ASSERT_TRUE(call.Open(config));
  call.SendText("Tell me a long story.");
  call.Await(M::kToken);
  v1::ClientMessage cancel;
  cancel.mutable_cancel_response();
  call.Send(cancel);
  EXPECT_EQ(call.Await(M::kResponseDone).response_done().finish_reason(), v1::ResponseDone::CANCELLED);
  call.Send(cancel);
  EXPECT_EQ(call.Await(M::kWarning).warning().code(), v1::UNKNOWN_RESPONSE);
}

TEST(CallRpc, CallsAreIsolated) {
  TestSetup setup;
  setup.fake.faults = std::make_shared<engine::FakeFaults>();
  TestServer server(setup);
  TestCall bad(server.NewChannel());
  TestCall good(server.NewChannel());
  ASSERT_TRUE(bad.Open({}));
  ASSERT_TRUE(good.Open({}));
  const std::string bad_id = bad.Await(M::kReady).ready().call_id();
  EXPECT_NE(good.Await(M::kReady).ready().call_id(), bad_id);
  setup.fake.faults->FailConversationsHolding("xyzzy", absl::InternalError("made to fail"));
  bad.SendText("xyzzy");
  good.SendText("Hello.");
  const M error = bad.Await(M::kError);
  EXPECT_EQ(error.error().code(), v1::ENGINE_FAILED);
  EXPECT_TRUE(error.error().fatal());
  EXPECT_TRUE(error.error().retryable());
  EXPECT_EQ(bad.Finish().error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(good.Await(M::kResponseDone).response_done().finish_reason(), v1::ResponseDone::END_OF_TURN);
  good.Close();
  EXPECT_TRUE(good.Finish().ok());
  EXPECT_TRUE(Eventually([&] { return server.conversations() == 0; }));
}

TEST(CallRpc, SameInputGivesTheSameAnswerInAnotherCall) {
  TestServer server;
  std::string answers[2];
  for (std::string& answer : answers) {
    TestCall call(server.NewChannel());
    ASSERT_TRUE(call.Open({}));
    call.SendText("Hello.");
    call.Close();
    EXPECT_TRUE(call.Finish().ok());
    answer = AnswerText(call.messages(), 1);
  }
  EXPECT_NE(answers[0], "");
  EXPECT_EQ(answers[0], answers[1]);
}

TEST(CallRpc, ALongCallForgetsItsOldestTurnsAndSaysSo) {
  TestSetup setup;
  setup.fake.context_tokens = 1024;
  TestServer server(setup);
  TestCall call(server.NewChannel());
  v1::SessionConfig config;
  config.mutable_context_policy()->set_max_frames(4);
  ASSERT_TRUE(call.Open(config));
  const v1::SessionConfig in_force = call.Await(M::kReady).ready().config();
  EXPECT_EQ(in_force.context_policy().max_frames(), 4u);
  EXPECT_TRUE(in_force.context_policy().has_max_frame_age_ms());
  for (int turn = 0; turn < 40; ++turn) {
    call.SendText(std::string(60, 'q'));
    const M done = call.Await(M::kResponseDone);
    ASSERT_EQ(done.response_done().finish_reason(), v1::ResponseDone::END_OF_TURN);
    ASSERT_LE(done.response_done().usage().context_tokens(), 1024u);
  }
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  int compactions = 0;
  for (const M& message : call.messages()) {
    if (!message.has_context_compacted()) continue;
    ++compactions;
    EXPECT_EQ(message.context_compacted().reason(), v1::ContextCompacted::CONTEXT_LIMIT);
    EXPECT_GT(message.context_compacted().turns_dropped(), 0u);
    EXPECT_LT(message.context_compacted().tokens_after(), message.context_compacted().tokens_before());
    EXPECT_EQ(message.turn_id(), 0u);
  }
  EXPECT_GE(compactions, 4);
  ExpectGoodEnvelopes(call.messages());
}

TEST(CallRpc, ACallThatMemoryCannotBeKeptForIsRefusedUntilAnotherEnds) {
  TestSetup setup;
  setup.fake.kv_bytes = 12 * engine::kFakePageBytes;  // a call is promised six, two of them shared
  setup.fake.runtime.promised_tokens = 64;
  setup.server.max_waiting = 0;
  TestServer server(setup);
  TestCall first(server.NewChannel());
  TestCall second(server.NewChannel());
  ASSERT_TRUE(first.Open({}));
  first.Await(M::kReady);
  ASSERT_TRUE(second.Open({}));
  second.Await(M::kReady);
  TestCall third(server.NewChannel());
  third.Open({});  // whether this is still read depends on who is quicker
  const v1::Error error = third.Await(M::kError).error();
  EXPECT_EQ(error.code(), v1::AT_CAPACITY);
  EXPECT_GT(error.retry_after_ms(), 0u);
  EXPECT_EQ(third.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  first.Close();
  EXPECT_TRUE(first.Finish().ok());
  EXPECT_TRUE(Eventually([&] { return server.conversations() == 1 && server.server().live_calls() == 1; }));
  TestCall fourth(server.NewChannel());
  ASSERT_TRUE(fourth.Open({}));
  fourth.Await(M::kReady);
}

TEST(CallRpc, CapabilitiesNameWhatTheBundleTakes) {
  TestSetup setup;
  setup.fake.sees = false;
  TestServer server(setup);
  const auto stub = v1::Parley::NewStub(server.NewChannel());
  grpc::ClientContext context;
  v1::Capabilities capabilities;
  ASSERT_TRUE(stub->GetCapabilities(&context, {}, &capabilities).ok());
  EXPECT_EQ(capabilities.audio_codecs_size(), 2);
  EXPECT_EQ(capabilities.video_codecs_size(), 0);
  EXPECT_EQ(capabilities.defaults().generation().max_tokens(), 256u);
  EXPECT_EQ(capabilities.limits().max_audio_gap_ms(), 5'000u);
  EXPECT_NE(capabilities.model().bundle(), "");
}

}  // namespace
}  // namespace parley::server

// What clients do wrong: each gets a clear typed error, the call or the server goes on, and nothing leaks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/server/server_harness.h"

namespace parley::server {
namespace {

using M = v1::ServerMessage;
using ::testing::HasSubstr;

constexpr char kConverse[] = "/parley.v1.Parley/Converse";

class BadInput : public ::testing::Test {
 protected:
  // The error that a message gets in an open call that then goes on.
  void ExpectRefused(TestCall& call, const v1::ClientMessage& message, v1::Code code) {
    ASSERT_TRUE(call.Send(message));
    const M error = call.Await(M::kError);
    EXPECT_EQ(error.error().code(), code) << error.ShortDebugString();
    EXPECT_FALSE(error.error().fatal());
    EXPECT_GT(error.error().client_seq(), 0u);
    v1::ClientMessage ping;
    ping.mutable_ping()->set_nonce(++nonce_);
    ASSERT_TRUE(call.Send(ping));
    EXPECT_EQ(call.Await(M::kPong).pong().nonce(), nonce_) << "the call goes on";
  }
  // The last error of a call that ends with it.
  void ExpectEnded(TestCall& call, v1::Code code, grpc::StatusCode status) {
    const M error = call.Await(M::kError);
    EXPECT_EQ(error.error().code(), code) << error.ShortDebugString();
    EXPECT_TRUE(error.error().fatal());
    EXPECT_EQ(call.Finish().error_code(), status);
    EXPECT_TRUE(call.messages().back().has_error()) << "nothing comes after a fatal error";
    EXPECT_TRUE(Eventually([&] { return server_.conversations() == 0; }));
    ExpectServerGoesOn();
  }
  void ExpectServerGoesOn() {
    TestCall call(server_.NewChannel());
    ASSERT_TRUE(call.Open({}));
    call.SendText("Hello.");
    call.Await(M::kResponseDone);
    call.Close();
    EXPECT_TRUE(call.Finish().ok());
  }
  TestServer server_;
  uint64_t nonce_ = 0;
};

// A megabyte of it would be a gigabyte here.
TEST_F(BadInput, CompressedMessagesAreRefusedBeforeTheyAreInflated) {
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    const auto stub = v1::Parley::NewStub(server_.NewChannel());
    const auto stream = stub->Converse(&context);
    v1::ClientMessage message;
    message.set_seq(1);
    message.mutable_open()->mutable_config()->set_instructions(std::string(1'000, 'a'));
    stream->Write(message);
    v1::ServerMessage answer;
    EXPECT_FALSE(stream->Read(&answer)) << answer.ShortDebugString();
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
  }
  ExpectServerGoesOn();
}

TEST_F(BadInput, FramesBeforeSessionOpen) {
  TestCall call(server_.NewChannel());
  v1::ClientMessage message;
  message.mutable_video()->set_data("x");
  message.mutable_video()->set_frame_id(1);
  call.Send(message);
  ExpectEnded(call, v1::NOT_OPEN, grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(BadInput, SecondSessionOpen) {
  TestCall call(server_.NewChannel());
  call.Open({});
  v1::ClientMessage open;
  open.mutable_open();
  ExpectRefused(call, open, v1::ALREADY_OPEN);
}

TEST_F(BadInput, UnknownCodec) {
  TestCall call(server_.NewChannel());
  v1::SessionConfig config;
  config.mutable_audio()->set_codec(static_cast<v1::AudioFormat::Codec>(42));
  call.Open(config);
  ExpectEnded(call, v1::UNSUPPORTED_CODEC, grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(BadInput, ConfigurationOutOfRange) {
  TestCall call(server_.NewChannel());
  v1::SessionConfig config;
  config.mutable_generation()->set_temperature(9);
  call.Open(config);
  const M error = call.Await(M::kError);
  EXPECT_THAT(error.error().message(), HasSubstr("generation.temperature is 9; it takes 0 to 2"));
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(BadInput, UpdateOutOfRangeLeavesWhatIsInForce) {
  TestCall call(server_.NewChannel());
  call.Open({});
  v1::ClientMessage update;
  update.mutable_update()->mutable_config()->mutable_turn()->set_silence_ms(1);
  update.mutable_update()->mutable_update_mask()->add_paths("turn.silence_ms");
  ExpectRefused(call, update, v1::INVALID_CONFIG);
}

TEST_F(BadInput, MediaThatIsEmptyTooLargeOrDamaged) {
  TestCall call(server_.NewChannel());
  v1::SessionConfig config = AudioConfig();
  config.mutable_video()->set_codec(v1::VideoFormat::JPEG);
  call.Open(config);
  v1::ClientMessage audio;
  audio.mutable_audio();
  ExpectRefused(call, audio, v1::INVALID_MESSAGE);
  audio.mutable_audio()->set_data("odd");
  ExpectRefused(call, audio, v1::INVALID_MESSAGE);
  audio.mutable_audio()->set_data(std::string((256 << 10) + 2, '\0'));
  ExpectRefused(call, audio, v1::TOO_LARGE);
  v1::ClientMessage video;
  video.mutable_video()->set_frame_id(1);
  ExpectRefused(call, video, v1::INVALID_MESSAGE);
  video.mutable_video()->set_data(std::string((4 << 20) + 1, '\0'));
  ExpectRefused(call, video, v1::TOO_LARGE);
  video.mutable_video()->set_data("no JPEG");
  call.Send(video);
  const M status = call.Await(M::kInputStatus);
  EXPECT_EQ(status.input_status().reason(), v1::InputStatus::UNDECODABLE);
  video.mutable_video()->set_frame_id(1);
  ExpectRefused(call, video, v1::INVALID_SEQUENCE);
}

TEST_F(BadInput, SampleIndicesThatJumpAheadAndBack) {
  TestCall call(server_.NewChannel());
  call.Open(AudioConfig());
  v1::ClientMessage audio;
  audio.mutable_audio()->set_data(std::string(640, '\0'));
  call.Send(audio);
  audio.mutable_audio()->set_first_sample_index(640);  // 320 are missing
  call.Send(audio);
  EXPECT_EQ(call.Await(M::kWarning).warning().code(), v1::AUDIO_GAP);
  audio.mutable_audio()->set_first_sample_index(0);
  call.Send(audio);
  EXPECT_EQ(call.Await(M::kWarning).warning().code(), v1::AUDIO_OVERLAP);
  audio.mutable_audio()->set_first_sample_index(uint64_t{1} << 40);
  ExpectRefused(call, audio, v1::AUDIO_GAP);
}

TEST_F(BadInput, SequenceThatJumps) {
  TestCall call(server_.NewChannel());
  call.Open({});
  v1::ClientMessage ping;
  ping.mutable_ping();
  ping.set_seq(7);
  call.SendRaw(ping);
  ExpectEnded(call, v1::INVALID_SEQUENCE, grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(BadInput, TextThatIsNotUtf8) {
  TestCall call(server_.NewChannel());
  call.Open({});
  call.SendText("\xff\xfe broken");
  ExpectEnded(call, v1::INVALID_MESSAGE, grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(BadInput, BytesThatAreNoMessage) {
  grpc::Status status;
  const std::string answer =
      ExchangeBytes(server_.NewChannel(), kConverse, "\x1a\xff\xff\xff\x7fjunk", &status);
  M message;
  ASSERT_TRUE(message.ParseFromString(answer));
  EXPECT_EQ(message.error().code(), v1::INVALID_MESSAGE);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  ExpectServerGoesOn();
}

// What deploy/edge sends in place of a message over its limit: the call ends as with one over the server's.
TEST_F(BadInput, ANoticeThatTheEdgeKeptAMessageEndsTheStreamByItsStatusAlone) {
  grpc::Status status;
  const std::string notice("\xffTOOLONG\x00\x89\x54\x40\x00\x80\x00\x00", 16);
  EXPECT_EQ(ExchangeBytes(server_.NewChannel(), kConverse, notice, &status), "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("a message of 9000000 bytes: at most 8388608"));
  ExpectServerGoesOn();
  // What only looks like it is no message.
  for (const std::string& other : {notice.substr(0, 15), notice + "x", "\xfeTOOLONG" + notice.substr(8)}) {
    ExchangeBytes(server_.NewChannel(), kConverse, other, &status);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(BadInput, EmptyPayloadAndWrongMode) {
  TestCall call(server_.NewChannel());
  call.Open(AudioConfig());
  ExpectRefused(call, {}, v1::INVALID_MESSAGE);
  v1::ClientMessage start;
  start.mutable_activity_start();
  ExpectRefused(call, start, v1::WRONG_MODE);
}

// gRPC itself refuses it, before the bytes are taken in: the call ends without an Error message.
TEST_F(BadInput, MessageOverTheLimitEndsTheStream) {
  TestCall call(server_.NewChannel());
  call.Open({});
  call.Await(M::kReady);
  call.SendText(std::string(5 << 20, 'x'));
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Eventually([&] { return server_.conversations() == 0; }));
  ExpectServerGoesOn();
}

#ifdef PARLEY_SANITIZED
constexpr absl::Duration kFreedWithin = absl::Seconds(1);  // everything is slower
#else
constexpr absl::Duration kFreedWithin = absl::Milliseconds(100);
#endif

class Disconnect : public BadInput {
 protected:
  // A call that vanishes after some messages, speech or answers under way; how long its conversation stays.
  absl::Duration TimeToFree(int seed) {
    std::mt19937 random(seed);
    TestCall call(server_.NewChannel());
    const int steps = static_cast<int>(random() % 12);
    for (int step = 0; step < steps; ++step) Say(random, step, call);
    call.Cancel();
    const absl::Time gone = absl::Now();
    EXPECT_TRUE(Eventually([&] {
      return server_.conversations() == 0 && server_.server().live_calls() == 0;
    })) << "seed "
        << seed;
    return absl::Now() - gone;
  }

 private:
  static void Say(std::mt19937& random, int step, TestCall& call) {
    if (step == 0) {
      v1::SessionConfig config = AudioConfig();
      config.mutable_video()->set_codec(v1::VideoFormat::JPEG);
      call.Open(config);
      if (random() % 2 == 0) call.Await(M::kReady);
      return;
    }
    v1::ClientMessage message;
    switch (random() % 7) {
      case 0:
        call.SendText("Hello there.");
        return;
      case 1:
      case 2:
        call.SendSpeech(100 + static_cast<int>(random() % 600));
        return;
      case 3:
        call.SendSilence(700);
        return;
      case 4:
        message.mutable_video()->set_frame_id(step);
        message.mutable_video()->set_data("no picture");
        break;
      case 5:
        message.mutable_cancel_response();
        break;
      case 6:
        message.mutable_commit();
        break;
    }
    call.Send(message);
  }
};

// Fifty seeds. Other work on the machine may hold up any one try, and not all of them.
TEST_F(Disconnect, AtAnyMomentFreesTheConversation) {
  absl::Duration longest;
  for (int seed = 0; seed < 50; ++seed) {
    absl::Duration took = TimeToFree(seed);
    for (int again = 0; took >= kFreedWithin && again < 20; ++again) took = TimeToFree(seed);
    EXPECT_LT(took, kFreedWithin) << "seed " << seed;
    longest = std::max(longest, took);
  }
  RecordProperty("longest_us", static_cast<int>(absl::ToInt64Microseconds(longest)));
  ExpectServerGoesOn();
}

TEST(SlowReader, IsToldAndEndsWhileItsConversationIsFreedAtOnce) {
  TestSetup setup;
  setup.server.slow_reader = absl::Seconds(30);
  setup.server.max_queue_messages = 8;
  TestServer server(setup);
  TestCall call(server.NewChannel(), /*reads=*/false);
  ASSERT_TRUE(call.Open({}));
  ASSERT_TRUE(Eventually([&] { return server.conversations() == 1; }));
  // Answers to pings that nobody reads fill the connection's window, then the queue.
  v1::ClientMessage ping;
  ping.mutable_ping();
  for (int i = 0; i < 200'000 && server.conversations() > 0; ++i) {
    if (!call.Send(ping)) break;
  }
  ASSERT_TRUE(Eventually([&] { return server.conversations() == 0; }));
  const grpc::Status status = call.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  const M last = call.messages().back();
  EXPECT_EQ(last.error().code(), v1::SLOW_READER) << last.ShortDebugString();
  EXPECT_EQ(last.seq(), call.messages().size()) << "no seq is missing";
}

TEST(SlowReader, ThatNeverReadsIsCutOff) {
  TestSetup setup;
  setup.server.slow_reader = absl::Milliseconds(50);
  setup.server.max_queue_messages = 8;
  TestServer server(setup);
  TestCall call(server.NewChannel(), /*reads=*/false);
  ASSERT_TRUE(call.Open({}));
  v1::ClientMessage ping;
  ping.mutable_ping();
  for (int i = 0; i < 200'000 && call.Send(ping); ++i) {
  }
  EXPECT_TRUE(Eventually([&] { return server.server().live_calls() == 0 && server.conversations() == 0; }));
}

TEST(FlowControl, AudioFasterThanRealTimeIsSlowedDownAndAllHeard) {
  TestSetup setup;
  setup.server.max_audio_backlog_ms = 200;
  TestServer server(setup);
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open(AudioConfig()));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(call.SendSpeech(1'000));
    ASSERT_TRUE(call.SendSilence(1'000));
  }
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  const auto messages = call.messages();
  EXPECT_EQ(
      std::count_if(messages.begin(), messages.end(), [](const M& m) { return m.has_speech_stopped(); }), 10);
}

// More texts than may wait: the server reads on as it acts on them, and nothing is lost or refused silently.
TEST(FlowControl, MessagesFasterThanTheyAreActedOnAreAllActedOn) {
  TestServer server;
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open(AudioConfig()));
  v1::ClientMessage cancel;
  cancel.mutable_cancel_response()->set_response_id(999);
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(call.Send(cancel));
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  const auto messages = call.messages();
  EXPECT_EQ(std::count_if(messages.begin(), messages.end(), [](const M& m) { return m.has_warning(); }),
            2'000);
}

}  // namespace
}  // namespace parley::server

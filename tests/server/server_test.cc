// The server around the calls: health, reflection, metrics, limits in time, draining, TLS.
#include "server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/log.h"
#include "server/metrics.h"
#include "streaming/decoders/picture_decoders.h"
#include "tests/call/test_png.h"
#include "tests/server/server_harness.h"

namespace parley::server {
namespace {

using M = v1::ServerMessage;
using ::testing::HasSubstr;

TEST(Health, IsServingFromReadyUntilDrain) {
  TestSetup setup;
  setup.ready = false;
  TestServer server(setup);
  const auto channel = server.NewChannel();
  EXPECT_EQ(Health(channel), 2);
  EXPECT_EQ(Health(channel, "parley.v1.Parley"), 2);
  {
    TestCall early(channel);
    EXPECT_EQ(early.Await(M::kError).error().code(), v1::AT_CAPACITY);
    EXPECT_EQ(early.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  server.server().SetReady();
  EXPECT_EQ(Health(channel), 1);
  EXPECT_EQ(Health(channel, "parley.v1.Parley"), 1);
  TestCall call(channel);
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
  std::thread drain([&] { server.server().Drain(); });
  EXPECT_EQ(call.Await(M::kGoAway).go_away().time_left_ms(), 30'000u);
  EXPECT_EQ(Health(channel), 2);
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  drain.join();
}

TEST(Drain, LiveCallsFinishNewOnesAreRefused) {
  TestServer server;
  const auto channel = server.NewChannel();
  TestCall call(channel);
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
  std::thread drain([&] { server.server().Drain(); });
  call.Await(M::kGoAway);
  {
    TestCall late(channel);
    const M error = late.Await(M::kError);
    EXPECT_EQ(error.error().code(), v1::SHUTTING_DOWN);
    EXPECT_TRUE(error.error().retryable());
    EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  call.SendText("One more question.");
  EXPECT_EQ(call.Await(M::kResponseDone).response_done().finish_reason(), v1::ResponseDone::END_OF_TURN);
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  drain.join();
}

TEST(Drain, CallsThatOutlastTheLimitAreCut) {
  SimulatedClock clock;
  TestSetup setup = Simulated(&clock);
  setup.server.drain_limit = absl::Seconds(30);
  TestServer server(setup);
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
  std::thread drain([&] { server.server().Drain(); });
  call.Await(M::kGoAway);
  EXPECT_EQ(call.AwaitWhileTimePasses(M::kError, clock, absl::Seconds(31)).error().code(), v1::SHUTTING_DOWN);
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  drain.join();
}

class TimeLimits : public ::testing::Test {
 protected:
  void ExpectDeadline(TestCall& call, absl::Duration step, const std::string& words) {
    const M error = call.AwaitWhileTimePasses(M::kError, clock_, step);
    EXPECT_EQ(error.error().code(), v1::DEADLINE);
    EXPECT_THAT(error.error().message(), HasSubstr(words));
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  SimulatedClock clock_;
  TestSetup setup_ = Simulated(&clock_);
};

TEST_F(TimeLimits, StreamThatOpensNoCallEnds) {
  TestServer server(setup_);
  TestCall call(server.NewChannel());
  ExpectDeadline(call, absl::Seconds(1), "no SessionOpen within 5s");
  EXPECT_EQ(server.server().live_calls(), 0);
}

TEST_F(TimeLimits, CallWithoutMessagesEnds) {
  setup_.server.idle = absl::Seconds(60);
  TestServer server(setup_);
  TestCall call(server.NewChannel());
  call.Open({});
  call.Await(M::kReady);
  ExpectDeadline(call, absl::Seconds(61), "no message for 1m");
}

TEST_F(TimeLimits, LongCallEndsThoughItIsNotIdle) {
  setup_.server.idle = absl::Seconds(60);
  setup_.server.max_call = absl::Seconds(100);
  TestServer server(setup_);
  TestCall call(server.NewChannel());
  call.Open({});
  call.Await(M::kReady);
  v1::ClientMessage ping;
  ping.mutable_ping();
  for (int i = 0; i < 4; ++i) {
    clock_.Advance(absl::Seconds(25));
    call.Send(ping);
    call.Await(M::kPong);
  }
  // In small steps: on a busy machine there are many of them before the server looks, and the call is not
  // idle.
  ExpectDeadline(call, absl::Milliseconds(1), "has lasted 1m40s");
}

// The answer to a serialized ServerReflectionRequest, as bytes.
std::string AskReflection(const std::string& request) {
  TestServer server;
  grpc::Status status;
  return ExchangeBytes(server.NewChannel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                       request, &status);
}

TEST(Reflection, ListsTheService) {
  const std::string answer = AskReflection("\x3a\x01*");  // {string list_services = 7}
  EXPECT_THAT(answer, HasSubstr("parley.v1.Parley"));
  EXPECT_THAT(answer, HasSubstr("grpc.health.v1.Health"));
}

TEST(Reflection, DescribesTheHealthServiceToo) {
  // {string file_containing_symbol = 4}
  EXPECT_THAT(AskReflection("\x22\x15grpc.health.v1.Health"), HasSubstr("HealthCheckRequest"));
}

// A reflection stream on which nothing is asked.
class SilentReflection : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit SilentReflection(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {
    stub_.PrepareBidiStreamingCall(
        &context_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", {}, this);
    StartCall();
  }
  ~SilentReflection() override {
    context_.TryCancel();
    done_.WaitForNotification();
  }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    done_.Notify();
  }
  bool Refused() const {
    return done_.HasBeenNotified() && status_.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
  }

 private:
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::Status status_;
  absl::Notification done_;
};

TEST(Reflection, StreamsThatAreHeldTakeFewThreads) {
  TestServer server;
  const auto channel = server.NewChannel();
  std::vector<std::unique_ptr<SilentReflection>> held;
  for (int i = 0; i < 80; ++i) held.push_back(std::make_unique<SilentReflection>(channel));
  EXPECT_TRUE(Eventually([&] {
    return std::count_if(held.begin(), held.end(), [](const auto& stream) { return stream->Refused(); }) >=
           64;
  }));
  TestCall call(server.NewChannel());
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
}

TEST(MetricsPage, ShowsCallsTurnsTokensErrorsAndLatencies) {
  TestSetup setup;
  setup.metrics = true;
  TestServer server(setup);
  {
    TestCall call(server.NewChannel());
    v1::SessionConfig config = AudioConfig();
    config.mutable_video()->set_codec(v1::VideoFormat::PNG);
    ASSERT_TRUE(call.Open(config));
    v1::ClientMessage frame;
    frame.set_capture_time_us(3'000'000);
    frame.mutable_video()->set_frame_id(1);
    frame.mutable_video()->set_data(streaming::TestPng(50));
    call.Send(frame);
    const M status = call.Await(M::kInputStatus);
    EXPECT_EQ(status.input_status().outcome(), v1::InputStatus::ENCODED);
    EXPECT_TRUE(status.input_status().has_age_ms());
    call.SendSpeech(800);
    call.SendSilence(800);
    call.Await(M::kMetrics);
    v1::ClientMessage empty;
    call.Send(empty);
    call.Await(M::kError);
    EXPECT_THAT(server.MetricsPage(), HasSubstr("parley_calls_active 1"));
    call.Close();
    EXPECT_TRUE(call.Finish().ok());
  }
  ASSERT_TRUE(Eventually([&] { return server.server().live_calls() == 0; }));
  // The engine lets go of the conversation at its next step.
  std::string page;
  EXPECT_TRUE(Eventually([&] {
    page = server.MetricsPage();
    return absl::StrContains(page, "parley_engine_conversations 0");
  }));
  for (const char* line : {"parley_calls_opened_total 1",
                           "parley_calls_active 0",
                           "parley_calls_ended_total{reason=\"completed\"} 1",
                           "parley_turns_total{reason=\"silence\"} 1",
                           "parley_answer_tokens_total ",
                           "parley_audio_seconds_total 1.6",
                           "parley_errors_total{code=\"invalid_message\"} 1",
                           "parley_frame_age_seconds_count 1",
                           "parley_frame_stage_seconds_count{stage=\"encode\"} 1",
                           "parley_turn_stage_seconds_count{stage=\"first_token\"} 1",
                           "parley_response_latency_seconds_count 1",
                           "parley_turn_stage_seconds_count{stage=\"held\"} 1",
                           "parley_turn_speculation_total{outcome=\"hit\"} 1",
                           "parley_speculation_wasted_tokens_total 0",
                           "parley_transcript_tokens_total{when=\"early\"} 0",
                           "parley_transcript_tokens_total{when=\"late\"} ",
                           "parley_engine_speculative_rows_total ",
                           "parley_engine_step_seconds_bucket{le=\"+Inf\"} ",
                           "parley_engine_step_rows_sum ",
                           "parley_engine_step_conversations_count ",
                           "parley_engine_conversations 0",
                           "# HELP parley_turn_stage_seconds Where a turn's time went"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST(MetricsPage, ConnectionsThatSayNothingOrHalfARequestDoNotKeepOthersOut) {
  TestSetup setup;
  setup.metrics = true;
  TestServer server(setup);
  std::vector<std::unique_ptr<LoopbackSocket>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(std::make_unique<LoopbackSocket>(server.server().metrics_port()));
    if (i % 2 == 0) slow.back()->Send("GET /metrics HTTP/1.1\r\nHost: local");
  }
  // Each is let go of after a second; the page comes after those that are before it.
  EXPECT_THAT(server.MetricsPage(), HasSubstr("parley_calls_active 0"));
  for (auto& connection : slow) connection->ReadAll();
}

TEST(MetricsPage, IsServedOnIpv6OrRefusedByName) {
  TestServer server;
  for (const char* address : {"[::1]:0", "[::]:0"}) {
    ServerOptions options;
    options.port = 0;
    options.metrics_address = address;
    options.picture_decoders = "in-process";
    const auto started = ParleyServer::Start(options, &server.engine(), nullptr);
    if (started.ok()) {
      EXPECT_THAT(HttpGet((*started)->metrics_port(), "/metrics", true), HasSubstr("parley_calls_active 0"))
          << address;
    } else {
      EXPECT_THAT(std::string(started.status().message()), HasSubstr("IPv6"));
    }
  }
}

TEST(MetricsPage, ShowsConnectionsAndThoseThatWereRefused) {
  TestSetup setup;
  setup.metrics = true;
  setup.server.max_connections = 2;
  TestServer server(setup);
  const LoopbackSocket first(server.server().port());
  const LoopbackSocket second(server.server().port());
  LoopbackSocket third(server.server().port());
  third.ReadAll();  // until it is closed
  const std::string page = server.MetricsPage();
  for (const char* line :
       {"parley_connections_open 2", "parley_connections_accepted_total 2",
        "parley_connections_refused_total{reason=\"full\"} 1",
        "parley_connections_refused_total{reason=\"peer\"} 0",
        "parley_connections_refused_total{reason=\"descriptors\"} 0", "parley_listener_reopened_total 0"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST(MetricsPage, ShowsPictureDecodersThatWereLostAndWhy) {
  class Decoders : public streaming::PictureDecoders {
   public:
    streaming::PictureDecoderCounts counts() const override {
      return {.started = 9, .overdue = 1, .killed = 2, .crashed = 3, .fork_server_restarts = 4};
    }
    absl::StatusOr<std::unique_ptr<streaming::PictureDecoder>> Open(streaming::VideoCodec, int64_t) override {
      return absl::UnimplementedError("only counts");
    }
  };
  const Decoders decoders;
  Metrics metrics;
  ASSERT_TRUE(metrics.Serve("127.0.0.1:0", {.pictures = &decoders}).ok());
  const std::string page = HttpGet(metrics.port(), "/metrics");
  for (const char* line :
       {"parley_picture_decoders_started_total 9", "parley_picture_decoders_lost_total{reason=\"overdue\"} 1",
        "parley_picture_decoders_lost_total{reason=\"killed\"} 2",
        "parley_picture_decoders_lost_total{reason=\"crashed\"} 3",
        "parley_picture_fork_server_restarts_total 4"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST(MetricsPage, ShowsWhatTheLogHasLeftOut) {
  TestSetup setup;
  setup.metrics = true;
  TestServer server(setup);
  const int64_t before = CountsOfLog().left_out;
  for (int i = 0; i < 2'000; ++i) Log(LogLevel::kWarn, "a flood of the test");
  EXPECT_GT(CountsOfLog().left_out, before);
  EXPECT_THAT(server.MetricsPage(),
              HasSubstr(absl::StrCat("parley_log_lines_left_out_total ", CountsOfLog().left_out)));
  EXPECT_THAT(server.MetricsPage(), HasSubstr("parley_log_lines_lost_total "));
}

TEST(Start, TakenPortIsSaid) {
  TestServer server;
  ServerOptions options = {.picture_decoders = "in-process"};
  options.port = server.server().port();
  options.metrics_address = "none";
  const auto second = ParleyServer::Start(options, &server.engine(), nullptr);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("Address already in use"));
}

TEST(Start, TakenMetricsPortIsSaid) {
  TestSetup setup;
  setup.metrics = true;
  TestServer server(setup);
  ServerOptions options = {.picture_decoders = "in-process"};
  options.port = 0;
  options.metrics_address = "127.0.0.1:" + std::to_string(server.server().metrics_port());
  const auto second = ParleyServer::Start(options, &server.engine(), nullptr);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("metrics"));
}

TEST(Start, PictureDecodersThatCannotBeHadAreSaidWithWhatToDo) {
  TestServer server;
  ServerOptions options;
  options.port = 0;
  options.metrics_address = "none";
  options.decoder_program = "/no/such/parley-decoder";
  const auto second = ParleyServer::Start(options, &server.engine(), nullptr);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("/no/such/parley-decoder: No such file"));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--picture-decoders in-process"));
}

TEST(Start, UnreadableCertificateIsNamed) {
  TestServer server;
  ServerOptions options = {.picture_decoders = "in-process"};
  options.port = 0;
  options.metrics_address = "none";
  options.tls_cert = "/no/such/cert.pem";
  options.tls_key = "/no/such/key.pem";
  const auto tls = ParleyServer::Start(options, &server.engine(), nullptr);
  EXPECT_EQ(tls.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(tls.status().message()), HasSubstr("--tls-cert /no/such/cert.pem: No such file"));
}

TEST(Start, AKeyOfAnotherCertificateIsNamed) {
  const std::string folder = std::string(PARLEY_SOURCE_DIR) + "/tests/server/testdata/";
  TestServer server;
  ServerOptions options;
  options.port = 0;
  options.picture_decoders = "in-process";
  options.metrics_address = "none";
  options.tls_cert = folder + "localhost.cert.pem";
  options.tls_key = folder + "client.key.pem";
  const auto tls = ParleyServer::Start(options, &server.engine(), nullptr);
  EXPECT_EQ(tls.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(tls.status().message()), HasSubstr("client.key.pem: they are not of one another"));
}

TEST(Detector, BundleWithoutOneTakesAudioInManualModeOnly) {
  TestSetup setup;
  setup.with_detector = false;
  TestServer server(setup);
  TestCall vad(server.NewChannel());
  vad.Open(AudioConfig());
  EXPECT_EQ(vad.Await(M::kError).error().code(), v1::INVALID_CONFIG);
  TestCall manual(server.NewChannel());
  v1::SessionConfig config = AudioConfig();
  config.mutable_turn()->set_mode(v1::TurnConfig::MANUAL);
  manual.Open(config);
  manual.Await(M::kReady);
  v1::ClientMessage message;
  message.mutable_activity_start();
  manual.Send(message);
  manual.SendSpeech(500);
  message.mutable_activity_end();
  manual.Send(message);
  EXPECT_EQ(manual.Await(M::kTurnCommitted).turn_committed().reason(), v1::TurnCommitted::ACTIVITY_END);
  manual.Await(M::kResponseDone);
}

}  // namespace
}  // namespace parley::server

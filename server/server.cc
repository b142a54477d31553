#include "server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/support/server_interceptor.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/executor.h"
#include "grpc/health/v1/health.pb.h"
#include "server/call_environment.h"
#include "server/certificates.h"
#include "server/convert.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/service.h"
#include "server/transport.h"
#include "streaming/decoders/process_decoders.h"
#include "streaming/decoders/thread_decoders.h"
#include "streaming/turn/detector_thread.h"

namespace parley::server {
namespace {

v1::Limits MakeLimits(const ServerOptions& options, const engine::EngineInfo& info) {
  v1::Limits to;
  // The envelope of the largest content, with room for the fields around it.
  constexpr int kEnvelopeBytes = 64 << 10;
  to.set_max_message_bytes(kEnvelopeBytes +
                           std::max({options.max_video_frame_bytes, options.max_audio_chunk_bytes,
                                     options.max_text_bytes, options.max_instructions_bytes}));
  to.set_max_audio_chunk_bytes(options.max_audio_chunk_bytes);
  to.set_max_video_frame_bytes(options.max_video_frame_bytes);
  to.set_max_video_pixels(options.max_video_pixels);
  to.set_max_text_bytes(options.max_text_bytes);
  to.set_max_instructions_bytes(options.max_instructions_bytes);
  to.set_max_context_tokens(std::max(info.context_tokens, 0));
  to.set_max_answer_tokens(info.context_tokens > 0 ? std::min(options.max_answer_tokens, info.context_tokens)
                                                   : options.max_answer_tokens);
  to.set_max_audio_gap_ms(options.max_audio_gap_ms);
  to.set_max_audio_backlog_ms(options.max_audio_backlog_ms);
  return to;
}

// Of what the clock leaves out; less is that the machine is busy.
constexpr absl::Duration kPauseWorthTelling = absl::Milliseconds(100);

// A limit of one peer, by default three quarters of that of all.
int OfOnePeer(int given, int all) { return given > 0 ? given : std::max(1, all * 3 / 4); }

// gRPC's health service starts as SERVING, and a probe can come before anybody has told it otherwise. This
// lets no question about health in until `told` is notified, which is microseconds after the port is open.
class HealthGate : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit HealthGate(const absl::Notification* told) : told_(told) {}
  // For each RPC that arrives. Null: it goes on without an interceptor.
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    if (absl::StartsWith(info->method(), "/grpc.health.v1.Health/")) told_->WaitForNotification();
    return nullptr;
  }

 private:
  const absl::Notification* const told_;
};

absl::StatusOr<std::unique_ptr<streaming::PictureDecoders>> MakePictureDecoders(const ServerOptions& options,
                                                                                const Clock* clock) {
  if (options.picture_decoders == "in-process") {
    Log(LogLevel::kWarn, "pictures are decoded in the server: one that breaks the decoder breaks every call");
    return streaming::MakeThreadDecoders(streaming::PolicyOfThisMachine(), clock);
  }
  std::string program = options.decoder_program;
  if (program.empty()) {
    std::error_code error;
    program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "parley-decoder";
  }
  absl::StatusOr<std::unique_ptr<streaming::ProcessDecoders>> decoders =
      streaming::ProcessDecoders::Start({.program = std::move(program),
                                         .max_frame_bytes = options.max_video_frame_bytes,
                                         .clock = clock,
                                         .on_incident = [](const std::string& what) {
                                           Log(LogLevel::kWarn, "picture decoders", {{"what", what}});
                                         }});
  if (decoders.ok()) return *std::move(decoders);
  return absl::Status(
      decoders.status().code(),
      absl::StrCat("pictures cannot be decoded in processes without rights: ", decoders.status().message(),
                   " (--decoder-program names the program; --picture-decoders in-process "
                   "does without)"));
}

class ParleyServerImpl final : public ParleyServer {
 public:
  // `pictures`: null where the engine does not see.
  ParleyServerImpl(const ServerOptions& options, engine::Engine* engine, engine::SpeechDetector* detector,
                   std::unique_ptr<streaming::PictureDecoders> pictures, const Clock* clock,
                   std::map<std::string, std::string> shown_config)
      : detector_(detector == nullptr ? nullptr : streaming::DetectorThread::Start(detector)),
        pictures_(std::move(pictures)),
        media_pool_(options.media_threads),
        engine_(engine),
        engine_stall_(options.engine_stall),
        max_token_interval_(options.max_token_interval),
        max_load_(options.max_load),
        clock_(clock),
        stood_still_(StoodStill()),
        registry_({.max_calls = options.max_calls,
                   .max_waiting = options.max_waiting,
                   .max_calls_per_peer = OfOnePeer(options.max_calls_per_peer, options.max_calls),
                   .max_waiting_per_peer = OfOnePeer(options.max_waiting_per_peer, options.max_waiting),
                   .max_wait = options.max_wait,
                   .retry_after = options.retry_after,
                   .tick = options.tick},
                  clock, [this] {
                    TellPause();
                    LookAtEngine();
                    LogWhatWasLeftOut();
                  }) {
    environment_.options = options;
    environment_.limits = MakeLimits(options, engine->info());
    environment_.accepts = {
        .audio = engine->hears(), .video = engine->sees(), .speech_detection = detector != nullptr};
    environment_.model = ToProto(engine->info());
    environment_.server_config = EffectiveConfig(options);
    environment_.server_config.insert(shown_config.begin(), shown_config.end());
    environment_.dependencies = {.engine = engine,
                                 .detector = detector_.get(),
                                 .pictures = pictures_.get(),
                                 .media_pool = &media_pool_,
                                 .clock = clock};
    environment_.metrics = &metrics_;
    environment_.registry = &registry_;
    service_ = std::make_unique<Service>(&environment_);
  }
  ~ParleyServerImpl() override {
    Shutdown();
    metrics_.Stop();  // before what it asks goes
  }

  absl::Status Listen() {
    const ServerOptions& options = environment_.options;
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (!options.tls_cert.empty()) {
      absl::StatusOr<std::unique_ptr<Certificates>> certificates = Certificates::Load(options);
      if (!certificates.ok()) return certificates.status();
      certificates_ = *std::move(certificates);
      credentials = certificates_->MakeCredentials();
    }
    if (const std::string weakness = KnownWeakness(options, grpc::Version()); !weakness.empty()) {
      Log(LogLevel::kWarn,
          "THIS gRPC CAN BE BROUGHT DOWN BY ANYBODY WHO REACHES THE PORT: put deploy/edge in front, with "
          "--address unix:PATH here, or build with gRPC 1.56.3 or later",
          {{"grpc", grpc::Version()}, {"weakness", weakness}, {"address", options.address}});
    }
    static std::once_flag plugins;
    std::call_once(plugins, [] {
      grpc::EnableDefaultHealthCheckService(true);
      grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    });
    absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Open(MakeListenerOptions(options));
    if (!listener.ok()) return listener.status();
    listener_ = *std::move(listener);
    grpc::ServerBuilder builder;
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
    SetTransportLimits(options, static_cast<int>(environment_.limits.max_message_bytes()), builder);
    builder.RegisterService(service_.get());
    // gRPC's health service comes without a description, which reflection is asked for: this links it in.
    google::protobuf::LinkMessageReflection<grpc::health::v1::HealthCheckRequest>();
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> gate;
    gate.push_back(std::make_unique<HealthGate>(&health_told_));
    builder.experimental().SetInterceptorCreators(std::move(gate));
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return absl::InternalError("gRPC could not be started");
    server_->GetHealthCheckService()->SetServingStatus(false);
    server_->GetHealthCheckService()->SetServingStatus(v1::Parley::service_full_name(), false);
    health_told_.Notify();
    listener_->Start([this](int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.fd = fd;
      acceptor_->HandleNewConnection(&connection);
    });
    if (options.metrics_address != "none") {
      return metrics_.Serve(options.metrics_address,
                            {.engine = engine_, .listener = listener_.get(), .pictures = pictures_.get()});
    }
    return absl::OkStatus();
  }

  void SetReady() override {
    absl::MutexLock lock(&health_mutex_);
    if (registry_.draining()) return;
    ready_ = true;
    registry_.SetReady();
    SetServing(true);
  }

  void Drain() override {
    {
      absl::MutexLock lock(&health_mutex_);
      ready_ = false;
      SetServing(false);
    }
    Log(LogLevel::kInfo, "draining",
        {{"calls", registry_.calls()}, {"limit_s", absl::ToDoubleSeconds(environment_.options.drain_limit)}});
    registry_.Drain(environment_.options.drain_limit);
    registry_.WaitUntilEmpty();
    Shutdown();
  }

  void Shutdown() override {
    std::call_once(shutdown_, [this] {
      if (server_ == nullptr) return;
      {
        absl::MutexLock lock(&health_mutex_);
        ready_ = false;
      }
      server_->GetHealthCheckService()->Shutdown();
      registry_.CutAll();
      listener_->Stop();
      // What is not a call (health watches, reflection), or does not take its end, is cancelled after this.
      server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
      registry_.WaitUntilEmpty();
      server_->Wait();
    });
  }

  bool ReloadCertificates(std::function<void(const absl::Status& status)> done) override {
    if (certificates_ == nullptr) return false;
    certificates_->Reload(std::move(done));
    return true;
  }

  // Whether the engine answers, and whether it takes more calls. Ten times a second and for each arrival.
  void LookAtEngine() {
    const engine::EngineStats stats = engine_->stats();
    // In calls; the first is let in however heavy calls were.
    const double most = std::max(1.0, max_load_ / stats.conversation_load);
    int room = stats.room;
    std::string why = "the engine's memory is promised to them";
    if (stats.token_interval > max_token_interval_) {
      room = 0;
      why = absl::StrCat("their answers come a token in ", absl::ToInt64Milliseconds(stats.token_interval),
                         " ms");
    } else if (most < static_cast<double>(stats.conversations) + room) {
      room = std::max(0, static_cast<int>(most) - stats.conversations);
      why = absl::StrFormat("each takes %.1f %% of the engine's time", 100 * stats.conversation_load);
    }
    registry_.SetEngineRoom(stats.conversations, room, std::move(why));
    metrics_.CallsWaiting(registry_.waiting());

    const bool stalled = stats.pass_age > engine_stall_;
    {
      absl::MutexLock lock(&health_mutex_);
      if (!ready_ || stalled == stalled_) return;
      stalled_ = stalled;
      if (stalled) {
        registry_.SetUnready(EngineLost());
      } else {
        registry_.SetReady();
      }
      SetServing(!stalled);
    }
    if (stalled) {
      Log(LogLevel::kError, "the engine stands still: calls end, none are taken",
          {{"in_one_step_s", absl::ToDoubleSeconds(stats.pass_age)}, {"calls", registry_.calls()}});
      registry_.FailAll(EngineLost());
    } else {
      Log(LogLevel::kWarn, "the engine goes on: calls are taken again", {});
    }
  }

  // Says in the log that the process stood still, if it did.
  void TellPause() {
    const absl::Duration until_now = StoodStill();
    absl::Duration pause;
    {
      absl::MutexLock lock(&pause_mutex_);
      pause = until_now - stood_still_;
      if (pause < kPauseWorthTelling) return;
      stood_still_ = until_now;
    }
    Log(LogLevel::kWarn, "the process stood still: time limits go on from where they were",
        {{"not_counted_s", absl::ToDoubleSeconds(pause)}});
  }

  int port() const override { return listener_->port(); }
  int metrics_port() const override { return metrics_.port(); }
  int live_calls() const override { return registry_.calls(); }

 private:
  // How long the process did, as far as the clock leaves that out.
  absl::Duration StoodStill() const {
    const absl::Time now = clock_->Now();  // first: only then is the pause before it left out
    return clock_->MachineTime() - now;
  }

  void SetServing(bool serving) ABSL_EXCLUSIVE_LOCKS_REQUIRED(health_mutex_) {
    server_->GetHealthCheckService()->SetServingStatus(serving);
    server_->GetHealthCheckService()->SetServingStatus(v1::Parley::service_full_name(), serving);
  }

  Fault EngineLost() const {
    return MakeFault(v1::ENGINE_FAILED,
                     absl::StrCat("the engine has stood still for ", absl::FormatDuration(engine_stall_)));
  }

  // Destroyed from the last to the first. The gRPC server, which uses everything, goes first; then the
  // registry, whose thread may still look at a call that has ended; then the pool runs out its tasks, which
  // may hold a call's last reference; the picture decoders and the detector's thread outlive every call, and
  // the environment all of them.
  CallEnvironment environment_;
  Metrics metrics_;
  std::unique_ptr<streaming::DetectorThread> detector_;
  std::unique_ptr<streaming::PictureDecoders> pictures_;
  ThreadPool media_pool_;
  // For LookAtEngine, which the registry calls from the start.
  engine::Engine* const engine_;
  const absl::Duration engine_stall_;
  const absl::Duration max_token_interval_;
  const double max_load_;
  const Clock* const clock_;
  absl::Mutex pause_mutex_;
  absl::Duration stood_still_ ABSL_GUARDED_BY(pause_mutex_);  // as the log has it
  absl::Mutex health_mutex_;                                  // before the registry's own
  bool ready_ ABSL_GUARDED_BY(health_mutex_) = false;
  bool stalled_ ABSL_GUARDED_BY(health_mutex_) = false;
  CallRegistry registry_;
  std::unique_ptr<Service> service_;
  absl::Notification health_told_;              // that it is not SERVING yet
  std::unique_ptr<Certificates> certificates_;  // null: no TLS
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Listener> listener_;  // gives connections to the server
  std::once_flag shutdown_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ParleyServer>> ParleyServer::Start(
    const ServerOptions& options, engine::Engine* engine, engine::SpeechDetector* detector,
    const Clock* clock, std::map<std::string, std::string> shown_config) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  std::unique_ptr<streaming::PictureDecoders> pictures;
  if (engine->sees()) {
    auto made = MakePictureDecoders(options, clock);
    if (!made.ok()) return made.status();
    pictures = *std::move(made);
  }
  auto server = std::make_unique<ParleyServerImpl>(options, engine, detector, std::move(pictures), clock,
                                                   std::move(shown_config));
  if (absl::Status status = server->Listen(); !status.ok()) return status;
  return server;
}

}  // namespace parley::server

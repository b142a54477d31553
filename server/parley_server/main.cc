// parley-server: reads its flags, loads the engine, serves until it is told to stop.

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/processors.h"
#include "base/running_clock.h"
#include "base/standard_streams.h"
#include "engine/assembly/kinds.h"
#include "engine/assembly/load.h"
#include "engine/bundle/mapped_file.h"
#include "engine/fake/fake_engine.h"
#include "server/address.h"
#include "server/flags.h"
#include "server/log.h"
#include "server/options.h"
#include "server/server.h"
#ifdef PARLEY_WITH_TORCH
#include "engine/torch/language_model.h"
#endif

namespace parley::server {
namespace {

struct Engines {
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<engine::SpeechDetector> detector;
};

// A call that has ended may hold its conversation for a moment beside the one that has its place now.
int MaxConversations(const ProgramOptions& options) { return 2 * options.server.max_calls; }

engine::assembly::Kinds AllKinds() {
  engine::assembly::Kinds kinds = engine::assembly::CpuKinds();
#ifdef PARLEY_WITH_TORCH
  // All of them are one network.
  for (const auto& row : engine::assembly::CpuKinds().language_models) {
    kinds.language_models.push_back({row.kind, "torch-cpu", engine::libtorch::LoadOnCpu});
  }
#endif
  return kinds;
}

absl::StatusOr<Engines> LoadEngines(const ProgramOptions& options, const Clock* clock) {
  if (options.engine == "fake") {
    Log(LogLevel::kWarn, "THE FAKE ENGINE IS IN USE: answers are made up; it is for load tests only");
    engine::FakeOptions fake_options;
    if (options.kv_bytes > 0) fake_options.kv_bytes = options.kv_bytes;
    fake_options.runtime.max_conversations = MaxConversations(options);
    engine::LoadedFake fake = engine::MakeFakeEngine(fake_options, clock);
    return Engines{std::move(fake.engine), std::move(fake.speech_detector)};
  }
  engine::bundle::EndWhereAMappedFileIsLost();
  absl::StatusOr<engine::assembly::LoadedBundle> bundle =
      engine::assembly::LoadBundle({.bundle_dir = options.model,
                                    .device = options.device,
                                    .threads = options.threads,
                                    .arithmetic = options.arithmetic,
                                    .kv_bytes = options.kv_bytes,
                                    .kv_format = options.kv_format,
                                    .max_conversations = MaxConversations(options)},
                                   AllKinds(), clock);
  if (!bundle.ok()) return bundle.status();
  for (const std::string& warning : bundle->warnings) Log(LogLevel::kWarn, "bundle", {{"warning", warning}});
  return Engines{std::move(bundle->engine), std::move(bundle->speech_detector)};
}

LogLevel ToLevel(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

int Fail(const absl::Status& status) {
  LogPlain(absl::StrCat("parley-server: ", status.message()));
  return 1;
}

// Signals are blocked in every thread and taken by one that waits for them, so that no handler runs anywhere.
// Before serving the first that ends ends the process; while serving the first drains and the second ends it.
// SIGHUP ends nothing: it has files read again. It was blocked before main, see early_hang_up.cc.
class SignalThread {
 public:
  SignalThread() {
    sigemptyset(&signals_);
    for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals_, number);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    signal(SIGPIPE, SIG_IGN);
    std::thread([this] { Run(); }).detach();  // lives as long as the process
  }
  // `server` must stay until the process ends, or Forget.
  void SetServing(ParleyServer* server) {
    absl::MutexLock lock(&mutex_);
    server_ = server;
  }
  void WaitForFirst() { first_.WaitForNotification(); }
  void Forget() { SetServing(nullptr); }

 private:
  void Run() {
    while (true) {
      int number = 0;
      sigwait(&signals_, &number);
      if (number == SIGHUP) {
        ReadFilesAgain();
      } else if (first_.HasBeenNotified()) {
        Log(LogLevel::kWarn, "second signal: stopped at once", {{"signal", number}});
        FinishLog(absl::Milliseconds(100));
        std::_Exit(128 + number);
      } else {
        if (!serving()) std::_Exit(0);
        Log(LogLevel::kInfo, "signal: finishing live calls; a second one stops at once",
            {{"signal", number}});
        first_.Notify();
      }
    }
  }
  // The files are read elsewhere: here the next signal is waited for, whatever the file system does.
  void ReadFilesAgain() {
    absl::MutexLock lock(&mutex_);
    if (server_ == nullptr) {
      Log(LogLevel::kInfo, "signal: no files are read again before the server is ready, nor at its end",
          {{"signal", SIGHUP}});
    } else if (!server_->ReloadCertificates([](const absl::Status& status) {
                 Log(LogLevel::kInfo, "signal: certificates were read again",
                     {{"signal", SIGHUP},
                      {"in_use", status.ok() ? "those on disk" : "those of before"},
                      {"status", absl::StatusCodeToString(status.code())}});
               })) {
      Log(LogLevel::kInfo, "signal: there are no files to read again, as there is no TLS",
          {{"signal", SIGHUP}});
    }
  }
  bool serving() {
    absl::MutexLock lock(&mutex_);
    return server_ != nullptr;
  }

  sigset_t signals_;
  absl::Mutex mutex_;
  ParleyServer* server_ ABSL_GUARDED_BY(mutex_) = nullptr;
  absl::Notification first_;
};

int Run(int argc, char** argv) {
  absl::StatusOr<ParsedOptions> parsed = ParseOptions(argc, argv);
  if (!parsed.ok()) return Fail(parsed.status());
  if (!parsed->exit_text.empty()) {
    std::fputs(parsed->exit_text.c_str(), stdout);
    return 0;
  }
  const ProgramOptions& options = parsed->options;
  SetUpLog(ToLevel(options.log.level), options.log.format == "json" ? LogFormat::kJson : LogFormat::kText);
  CaptureLibraryLogs();
  static SignalThread signals;

  const Processors processors = UsableProcessors();
  const int64_t free_memory = AvailableMemoryBytes();
  // One for all whose times are compared. A process that stood still has missed no deadline.
  static const RunningClock clock(Clock::Real());
  absl::StatusOr<Engines> engines = LoadEngines(options, &clock);
  if (!engines.ok()) return Fail(engines.status());
  const engine::EngineInfo& info = engines->engine->info();
  const std::map<std::string, std::string> program_config = {
      {"engine", options.engine},         {"model", std::filesystem::path(options.model).filename().string()},
      {"device", options.device},         {"threads", absl::StrCat(options.threads)},
      {"arithmetic", options.arithmetic}, {"kv-bytes", absl::StrCat(options.kv_bytes)},
      {"kv-format", options.kv_format},   {"log-level", options.log.level},
      {"log-format", options.log.format},
  };
  absl::StatusOr<std::unique_ptr<ParleyServer>> server = ParleyServer::Start(
      options.server, engines->engine.get(), engines->detector.get(), &clock, program_config);
  if (!server.ok()) return Fail(server.status());
  Log(LogLevel::kInfo, "machine",
      {{"processors", processors.allowed},
       {"quota", processors.quota > 0 ? absl::StrCat(processors.quota) : "none"},
       {"usable", processors.usable},
       {"threads", options.threads > 0 ? options.threads : processors.usable},
       {"free_memory_bytes", free_memory}});
  std::map<std::string, std::string> config = EffectiveConfig(options.server);
  config.insert(program_config.begin(), program_config.end());
  for (const auto& [name, value] : config)
    Log(LogLevel::kInfo, "configuration", {{"name", name}, {"value", value}});
  Log(LogLevel::kInfo, "engine",
      {{"bundle", info.bundle},
       {"language_model", info.language_model},
       {"audio_encoder", info.audio_encoder},
       {"vision_encoder", info.vision_encoder},
       {"speech_detector", info.speech_detector},
       {"arithmetic", info.arithmetic},
       {"device", info.device},
       {"context_tokens", info.context_tokens},
       {"kv_pages", engines->engine->stats().kv_pages}});

  if (absl::Status status = engines->engine->WarmUp(); !status.ok()) return Fail(status);
  signals.SetServing(server->get());
  (*server)->SetReady();
  std::printf("listening on %s\n", JoinHostPort(options.server.address, (*server)->port()).c_str());
  if ((*server)->metrics_port() != 0) {
    std::printf("metrics on port %d\n", (*server)->metrics_port());
  }
  std::fflush(stdout);
  signals.WaitForFirst();
  (*server)->Drain();
  signals.Forget();
  server->reset();
  Log(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace
}  // namespace parley::server

int main(int argc, char** argv) {
  parley::OpenStandardStreams();
  parley::GiveFreedMemoryBack();
  return parley::server::Run(argc, argv);
}

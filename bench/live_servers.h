// The two sides of the suites that place calls: Parley's server on its engine, and the same server on a
// composition of the peers (bench/peers/composition.h), both in this process, each with its own port.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bench/harness.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/parley_load/recording.h"
#include "engine/api/engine.h"
#include "engine/api/speech_detector.h"
#include "parley/v1/parley.pb.h"
#include "server/server.h"

namespace parley::bench {

// One server. The clients' threads may be this process's.
class LiveServer {
 public:
  static absl::StatusOr<LiveServer> Start(std::unique_ptr<engine::Engine> engine,
                                          std::unique_ptr<engine::SpeechDetector> detector);

  client::ChannelOptions channel() const;
  const engine::EngineInfo& info() const { return engine_->info(); }

 private:
  LiveServer() = default;
  std::unique_ptr<engine::SpeechDetector> detector_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<server::ParleyServer> server_;  // goes first
};

struct LiveServers {
  LiveServer ours;
  LiveServer composition;
};

// `clip`: a WAV file by which the composition's transcriber is chosen.
absl::StatusOr<LiveServers> StartLiveServers(const SuiteOptions& options, const std::string& clip);

// What both sides' calls have in common, and what only ours can do: begin an answer at the pause.
v1::SessionConfig CallConfig(bool speculation);

// A question from a camera: the speech of `wav`, a second of silence after it, and `frames` pictures shown at
// even distances while it is spoken.
absl::StatusOr<client::Recording> MakeQuestion(const std::string& wav, int frames);

}  // namespace parley::bench

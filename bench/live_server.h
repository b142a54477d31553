// Parley's server on an engine, in this process, for the suites that place calls.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "clients/cpp/channel.h"
#include "engine/api/engine.h"
#include "engine/api/speech_detector.h"
#include "server/server.h"

namespace parley::bench {

inline constexpr int kMaxLiveCalls = 128;

class LiveServer {
 public:
  // At a free port of the loopback address.
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

}  // namespace parley::bench

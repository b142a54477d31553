#include "bench/live_server.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/log.h"

namespace parley::bench {

absl::StatusOr<LiveServer> LiveServer::Start(std::unique_ptr<engine::Engine> engine,
                                             std::unique_ptr<engine::SpeechDetector> detector) {
  LiveServer live;
  live.engine_ = std::move(engine);
  live.detector_ = std::move(detector);
  server::ServerOptions options;
  options.port = 0;
  options.decoder_program = PARLEY_DECODER_BINARY;
  options.metrics_address = "none";
  options.max_calls = kMaxLiveCalls;
  // Neither side refuses or queues calls here: what is asked is how late the answers get.
  options.max_token_interval = absl::Hours(1);
  options.max_load = kMaxLiveCalls;
  server::SetUpLog(server::LogLevel::kWarn, server::LogFormat::kText);
  if (absl::Status status = live.engine_->WarmUp(); !status.ok()) return status;
  auto server = server::ParleyServer::Start(options, live.engine_.get(), live.detector_.get());
  if (!server.ok()) return server.status();
  (*server)->SetReady();
  live.server_ = *std::move(server);
  return live;
}

client::ChannelOptions LiveServer::channel() const {
  client::ChannelOptions options;
  options.server = absl::StrCat("127.0.0.1:", server_->port());
  options.own_connection = true;
  return options;
}

}  // namespace parley::bench

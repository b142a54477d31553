#include "server/options.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/address.h"

namespace parley::server {
namespace {

std::string Number(int value) { return absl::StrCat(value); }

}  // namespace

absl::Status CheckOptions(const ServerOptions& options) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key go together: one of them is missing");
  }
  if (options.metrics_address != "none") {
    if (const auto split = SplitHostPort(options.metrics_address); !split.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--metrics-address ", split.status().message(), ", or none"));
    }
  }
  if (options.tls_cert.empty() && !options.tls_client_ca.empty()) {
    return absl::InvalidArgumentError("--tls-client-ca needs --tls-cert and --tls-key");
  }
  if (absl::StartsWith(options.address, "unix:")) {
    if (SocketPath(options.address).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--address ", options.address, ": a socket file is written unix:PATH"));
    }
    if (!options.tls_cert.empty()) {
      return absl::InvalidArgumentError(
          "--tls-cert is for an IP address: at a socket file the proxy has the certificate");
    }
    return absl::OkStatus();
  }
  if (options.tls_cert.empty() && !options.insecure_any_address && !IsLoopback(options.address)) {
    return absl::InvalidArgumentError(absl::StrCat("--address ", options.address,
                                                   " is not loopback and calls would not be encrypted: give "
                                                   "--tls-cert and --tls-key, or --insecure-any-address"));
  }
  return absl::OkStatus();
}

std::map<std::string, std::string> EffectiveConfig(const ServerOptions& options) {
  auto seconds = [](absl::Duration duration) { return absl::StrCat(absl::ToDoubleSeconds(duration)); };
  return {
      {"address", options.address},
      {"port", Number(options.port)},
      {"tls", options.tls_cert.empty()        ? "off"
              : options.tls_client_ca.empty() ? "on"
                                              : "mutual"},
      {"metrics-address", options.metrics_address},
      {"keepalive", seconds(options.keepalive)},
      {"max-connections", Number(options.max_connections)},
      {"max-connections-per-peer", Number(options.max_connections_per_peer)},
      {"connection-idle-limit", seconds(options.connection_idle)},
      {"max-transport-bytes", Number(options.max_transport_bytes)},
      {"max-calls-per-peer", Number(options.max_calls_per_peer)},
      {"max-waiting-per-peer", Number(options.max_waiting_per_peer)},
      {"max-calls", Number(options.max_calls)},
      {"max-waiting", Number(options.max_waiting)},
      {"max-wait", seconds(options.max_wait)},
      {"max-token-interval", seconds(options.max_token_interval)},
      {"max-load", absl::StrCat(options.max_load)},
      {"engine-stall", seconds(options.engine_stall)},
      {"max-call", seconds(options.max_call)},
      {"idle-limit", seconds(options.idle)},
      {"slow-reader-limit", seconds(options.slow_reader)},
      {"drain-limit", seconds(options.drain_limit)},
      {"retry-after", seconds(options.retry_after)},
      {"max-video-frame-bytes", Number(options.max_video_frame_bytes)},
      {"max-audio-chunk-bytes", Number(options.max_audio_chunk_bytes)},
      {"max-video-pixels", Number(options.max_video_pixels)},
      {"max-text-bytes", Number(options.max_text_bytes)},
      {"max-instructions-bytes", Number(options.max_instructions_bytes)},
      {"max-answer-tokens", Number(options.max_answer_tokens)},
      {"max-audio-gap-ms", Number(options.max_audio_gap_ms)},
      {"max-audio-backlog-ms", Number(options.max_audio_backlog_ms)},
      {"max-queue-messages", Number(options.max_queue_messages)},
      {"max-queue-bytes", Number(options.max_queue_bytes)},
      {"media-threads", Number(options.media_threads)},
      {"picture-decoders", options.picture_decoders},
  };
}

}  // namespace parley::server

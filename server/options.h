// How a server is set up, and what must hold between its options. flags.h has their names, units and ranges
// on the command line.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace parley::server {

struct ServerOptions {
  // Where calls are taken: an IP address or name, or unix:PATH. Port 0: the system chooses one.
  std::string address = "127.0.0.1";
  int port = 50051;
  // Allows an address that is not loopback without TLS.
  bool insecure_any_address = false;
  std::string tls_cert;  // PEM files; empty: no TLS
  std::string tls_key;
  std::string tls_client_ca;  // clients must show a certificate of it
  // HTTP address of /metrics; "none": no metrics server. It may be one that is not loopback, with a warning
  // in the log: the page holds counts and times, and nothing of what clients say.
  std::string metrics_address = "127.0.0.1:9464";

  int max_calls = 16;
  // Streams over that wait in order for a place, at most so long.
  int max_waiting = 16;
  absl::Duration max_wait = absl::Seconds(10);
  // Calls of one peer, an IPv4 address or an IPv6 /64 network, those that wait included; and those that wait.
  // 0: three quarters of all, so that one alone cannot fill the server, yet an office behind one address is
  // served; and no limit for loopback addresses.
  int max_calls_per_peer = 0;
  int max_waiting_per_peer = 0;
  // No more calls are let in while the answers of those that are here come slower than a token in this time.
  absl::Duration max_token_interval = absl::Milliseconds(250);
  // The same when with one more they would take more than this share of the engine's time.
  double max_load = 0.6;
  // An engine that is busy with one step for so long is taken for lost: health says NOT_SERVING, calls end.
  absl::Duration engine_stall = absl::Seconds(10);
  absl::Duration max_call = absl::Hours(4);
  absl::Duration idle = absl::Seconds(120);  // without a client message
  absl::Duration slow_reader = absl::Seconds(10);
  absl::Duration drain_limit = absl::Seconds(30);
  absl::Duration retry_after = absl::Seconds(2);
  absl::Duration keepalive = absl::Seconds(20);
  // Connections at once, if the system allows so many descriptors; and of one peer, loopback addresses left
  // out.
  int max_connections = 2'048;
  int max_connections_per_peer = 128;
  absl::Duration connection_idle = absl::Seconds(60);  // without a stream
  // What gRPC's buffers may take before it ends connections.
  int max_transport_bytes = 256 << 20;

  int max_video_frame_bytes = 4 << 20;
  int max_audio_chunk_bytes = 256 << 10;
  int max_video_pixels = 4096 * 4096;
  int max_text_bytes = 16 << 10;
  int max_instructions_bytes = 16 << 10;
  int max_answer_tokens = 1024;
  int max_audio_gap_ms = 5'000;
  int max_audio_backlog_ms = 10'000;
  int max_queue_messages = 1'024;
  int max_queue_bytes = 1 << 20;

  int media_threads = 2;
  // "process": a process without rights for each call's pictures; "in-process": threads of the server.
  std::string picture_decoders = "process";
  std::string decoder_program;  // empty: parley-decoder beside this program
  // How often wall-clock duties are looked at. Not a flag.
  absl::Duration tick = absl::Milliseconds(100);
  // How often it is looked whether certificates have changed on disk. Not a flag.
  absl::Duration certificate_check = absl::Seconds(10);
  // A certificate that takes longer to read is told in the log. Not a flag.
  absl::Duration certificate_patience = absl::Seconds(5);
};

// What must hold between options, whoever made them: INVALID_ARGUMENT says what does not.
absl::Status CheckOptions(const ServerOptions& options);

// What is in force, by flag name. For clients and logs: the paths of certificates and keys are left out.
std::map<std::string, std::string> EffectiveConfig(const ServerOptions& options);

}  // namespace parley::server

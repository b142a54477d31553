// What /metrics shows. Thread-safe. Labels are fixed sets (codes, reasons, stages), never a client's words.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/api/engine.h"
#include "parley/v1/parley.pb.h"
#include "streaming/api/call_events.h"

namespace parley::streaming {
class PictureDecoders;
}

namespace parley::server {

class Listener;

// What is asked at each scrape, beside the log. Null: there is none.
struct MetricSources {
  const engine::Engine* engine = nullptr;
  const Listener* listener = nullptr;
  const streaming::PictureDecoders* pictures = nullptr;
};

class Metrics {
 public:
  Metrics();
  ~Metrics();

  // A stream has its place, at once or after `waited`.
  void CallAdmitted(absl::Duration waited);
  void CallsWaiting(int count);  // now
  void CallOpened();
  // `reason`: "completed", "client_gone", or a Code in lower case.
  void CallEnded(std::string_view reason, absl::Duration length);
  void CallRefused(v1::Code code);
  void AudioTaken(double seconds);
  void FrameTaken();
  // A message that goes to a client.
  void Sent(const v1::ServerMessage& message);

  // Serves /metrics over HTTP at "host:port" until Stop. `sources` must live until then. Once.
  absl::Status Serve(const std::string& address, const MetricSources& sources);
  // Waits for a scrape under way. Again, or without Serve: a no-op. Destruction is Stop.
  void Stop();
  // Of the HTTP server; 0: not serving.
  int port() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "SLOW_READER" -> "slow_reader".
std::string LabelOf(v1::Code code);

}  // namespace parley::server

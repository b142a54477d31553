// A running Parley server: the gRPC service with health and reflection, /metrics, and what calls share.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/api/engine.h"
#include "engine/api/speech_detector.h"
#include "server/options.h"

namespace parley::server {

// Thread-safe. Destruction is Shutdown.
class ParleyServer {
 public:
  // Listens, with grpc.health.v1 saying NOT_SERVING and calls refused until SetReady. `engine`, `detector`
  // (may be null: no VAD mode) and `clock` must outlive the server. `clock` is read every
  // ServerOptions::tick, and is the engine's, too: the times of both are compared. `shown_config`: further
  // entries of SessionReady.server_config. Errors, one line each: INVALID_ARGUMENT (options), UNAVAILABLE (an
  // address is taken), FAILED_PRECONDITION (a certificate or key cannot be read or used).
  static absl::StatusOr<std::unique_ptr<ParleyServer>> Start(
      const ServerOptions& options, engine::Engine* engine, engine::SpeechDetector* detector,
      const Clock* clock = Clock::Real(), std::map<std::string, std::string> shown_config = {});
  virtual ~ParleyServer() = default;

  // The engine is warm: health says SERVING and calls are taken.
  virtual void SetReady() = 0;
  // Health says NOT_SERVING, new calls are refused, live ones are told (GoAway) and may finish within
  // ServerOptions::drain_limit, then are cut. Blocks until none is left, then shuts down.
  virtual void Drain() = 0;
  // Has the certificates on disk looked at now, and waits for nothing; those that can be used are used from
  // the next connection on. `done` is told once, on another thread or at once, what came of it: see
  // Certificates::Done. False: there is no TLS, and `done` is dropped.
  virtual bool ReloadCertificates(std::function<void(const absl::Status& status)> done) = 0;
  // Cuts every call and stops. Blocks until done. Again: a no-op.
  virtual void Shutdown() = 0;

  virtual int port() const = 0;
  virtual int metrics_port() const = 0;  // 0: not served
  virtual int live_calls() const = 0;
};

}  // namespace parley::server

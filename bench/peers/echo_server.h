// The bare gRPC server that suite `wire` compares with: every message of a bidirectional stream goes back as
// it came. Callback API, as Parley's.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace parley::bench {

// Serves until destruction. Streams still open then are cancelled.
class EchoServer {
 public:
  // On a free loopback port. UNAVAILABLE: no port.
  static absl::StatusOr<std::unique_ptr<EchoServer>> Start();
  virtual ~EchoServer() = default;
  virtual int port() const = 0;
};

}  // namespace parley::bench

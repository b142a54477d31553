// A plain word when a listening address cannot be had.
#pragma once

#include "absl/status/status.h"
#include "server/options.h"

namespace parley::server {

// Why gRPC could not listen; gRPC itself does not say. Never OK.
absl::Status DiagnoseListen(const ServerOptions& options);

}  // namespace parley::server

// What gRPC is told about connections: who owns what of a server's front door, and the limits of HTTP/2.
#pragma once

#include <grpcpp/server_builder.h>

#include "absl/status/statusor.h"
#include "server/listener.h"
#include "server/options.h"

namespace parley::server {

// The front door as the options want it. Raises the limit of descriptors, which the number of connections
// follows.
Listener::Options MakeListenerOptions(const ServerOptions& options);

// Sizes, streams of a connection, keepalive, idle and half-open connections, memory and threads.
void SetTransportLimits(const ServerOptions& options, int max_message_bytes, grpc::ServerBuilder& builder);

}  // namespace parley::server

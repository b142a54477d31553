// What gRPC is told about connections: who owns what of a server's front door, and the limits of HTTP/2.
#pragma once

#include <grpcpp/server_builder.h>

#include <string>

#include "server/listener.h"
#include "server/options.h"

namespace parley::server {

// The front door as the options want it. Raises the limit of descriptors, which the number of connections
// follows.
Listener::Options MakeListenerOptions(const ServerOptions& options);

// Sizes, streams of a connection, keepalive, idle and half-open connections, memory and threads.
void SetTransportLimits(const ServerOptions& options, int max_message_bytes, grpc::ServerBuilder& builder);

// What an attacker on the network can do to gRPC of `version` that nothing here prevents, by CVE; empty:
// nothing that is known, or `options` let nobody in but this machine.
std::string KnownWeakness(const ServerOptions& options, const std::string& version);

}  // namespace parley::server

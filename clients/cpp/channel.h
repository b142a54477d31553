// How a client reaches a server: a gRPC channel, plain or TLS, and whether the server is ready for calls.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"

namespace parley::client {

struct ChannelOptions {
  std::string server = "127.0.0.1:50051";  // HOST:PORT, unix:PATH, or any gRPC target
  bool tls = false;
  // PEM file with the certificates that the server's is checked against; empty: the system's. Implies tls.
  std::string tls_ca_file;
  // The name the server's certificate is checked for, where it differs from the host; empty: the host.
  std::string tls_server_name;
  // Its own connection, not one shared with the other channels of this process: as calls from many devices.
  bool own_connection = false;
};

// Does not connect yet. Errors: the CA file is not there (NOT_FOUND), is no file, is over 4 MiB or holds no
// certificate; they name it.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ChannelOptions& options);

// Blocks until the transport is up. UNAVAILABLE after `timeout`.
absl::Status WaitForConnection(grpc::Channel& channel, absl::Duration timeout);

// Blocks until grpc.health.v1 says SERVING for the whole server; asks by Watch, so nothing is polled.
// DEADLINE_EXCEEDED after `timeout`, with what the server said last.
absl::Status WaitUntilServing(const std::shared_ptr<grpc::Channel>& channel, absl::Duration timeout);

// The same code and message as absl::Status.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace parley::client

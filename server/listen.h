// What a listening address needs: credentials, and a plain word when it cannot be had.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/options.h"

namespace parley::server {

// TLS where a certificate is given. FAILED_PRECONDITION names the file that cannot be read or is not PEM.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const ServerOptions& options);

// Why gRPC could not listen; gRPC itself does not say. Never OK.
absl::Status DiagnoseListen(const ServerOptions& options);

}  // namespace parley::server

#include "clients/cpp/channel.h"

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/read_file.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace parley::client {
namespace {

constexpr size_t kMostPemBytes = 4 << 20;

std::chrono::system_clock::time_point DeadlineIn(absl::Duration timeout) {
  return std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  // A server that is just starting is found quickly.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // Despite its name, how long one attempt may take: TCP and TLS over a slow line need a second.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  if (options.own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);

  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (options.tls || !options.tls_ca_file.empty()) {
    grpc::SslCredentialsOptions ssl;
    if (!options.tls_ca_file.empty()) {
      absl::StatusOr<std::string> certificates = ReadRegularFile(options.tls_ca_file, kMostPemBytes);
      if (!certificates.ok()) {
        return absl::Status(certificates.status().code(),
                            absl::StrCat("cannot read the CA file ", certificates.status().message()));
      }
      if (!absl::StrContains(*certificates, "CERTIFICATE-----")) {
        return absl::InvalidArgumentError(
            absl::StrCat("the CA file ", options.tls_ca_file, " holds no PEM certificate"));
      }
      ssl.pem_root_certs = *std::move(certificates);
    }
    credentials = grpc::SslCredentials(ssl);
    if (!options.tls_server_name.empty()) arguments.SetSslTargetNameOverride(options.tls_server_name);
  } else {
    credentials = grpc::InsecureChannelCredentials();
  }
  return grpc::CreateCustomChannel(options.server, credentials, arguments);
}

absl::Status WaitForConnection(grpc::Channel& channel, absl::Duration timeout) {
  if (channel.WaitForConnected(DeadlineIn(timeout))) return absl::OkStatus();
  return absl::UnavailableError("cannot connect");
}

absl::Status WaitUntilServing(const std::shared_ptr<grpc::Channel>& channel, absl::Duration timeout) {
  using grpc::health::v1::HealthCheckResponse;
  const absl::Time deadline = absl::Now() + timeout;
  std::string last = "no server answered";
  while (absl::Now() < deadline) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(deadline));
    auto stub = grpc::health::v1::Health::NewStub(channel);
    auto reader = stub->Watch(&context, {});
    HealthCheckResponse response;
    while (reader->Read(&response)) {
      if (response.status() == HealthCheckResponse::SERVING) {
        context.TryCancel();
        reader->Finish();
        return absl::OkStatus();
      }
      last = absl::StrCat("the server says ", HealthCheckResponse::ServingStatus_Name(response.status()));
    }
    grpc::Status status = reader->Finish();
    // A server that stops or restarts ends the watch; anything but that is final.
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) break;
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return FromGrpc(status);
  }
  return absl::DeadlineExceededError(last);
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace parley::client

#include "server/listen.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace parley::server {
namespace {

absl::StatusOr<std::string> ReadPem(const std::string& flag, const std::string& path,
                                    const std::string& kind) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::FailedPreconditionError(
        absl::StrCat(flag, " ", path, ": cannot be read: ", errno == 0 ? "empty" : std::strerror(errno)));
  }
  std::string pem = text.str();
  if (!absl::StrContains(pem, absl::StrCat(kind, "-----"))) {
    return absl::FailedPreconditionError(absl::StrCat(flag, " ", path, ": holds no PEM block '", kind, "'"));
  }
  return pem;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const ServerOptions& options) {
  if (options.tls_cert.empty()) return grpc::InsecureServerCredentials();
  absl::StatusOr<std::string> certificate = ReadPem("--tls-cert", options.tls_cert, "CERTIFICATE");
  if (!certificate.ok()) return certificate.status();
  absl::StatusOr<std::string> key = ReadPem("--tls-key", options.tls_key, "PRIVATE KEY");
  if (!key.ok()) return key.status();
  grpc::SslServerCredentialsOptions tls;
  if (!options.tls_client_ca.empty()) {
    absl::StatusOr<std::string> authority = ReadPem("--tls-client-ca", options.tls_client_ca, "CERTIFICATE");
    if (!authority.ok()) return authority.status();
    tls = grpc::SslServerCredentialsOptions(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = *std::move(authority);
  }
  tls.pem_key_cert_pairs.push_back({*std::move(key), *std::move(certificate)});
  return grpc::SslServerCredentials(tls);
}

absl::Status DiagnoseListen(const ServerOptions& options) {
  const std::string where = JoinHostPort(options.address, options.port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(options.address.c_str(), std::to_string(options.port).c_str(), &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen at ", where, ": ", gai_strerror(error)));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen at ", where, ": ", std::strerror(errno)));
  }
  if (!options.tls_cert.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("cannot listen at ", where, " with --tls-cert ",
                                                      options.tls_cert, " and --tls-key ", options.tls_key,
                                                      ": damaged, or not of one another"));
  }
  return absl::UnavailableError(absl::StrCat("cannot listen at ", where));
}

}  // namespace parley::server

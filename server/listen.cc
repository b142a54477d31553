#include "server/listen.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace parley::server {
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

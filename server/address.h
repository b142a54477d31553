// Addresses as text: what flags say, and what is printed and compared. Names are not looked up. Thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace parley::server {

// Of "unix:PATH"; empty: not a socket file.
std::string SocketPath(const std::string& address);
bool IsLoopback(const std::string& address);
// "127.0.0.1:50051", "[::1]:50051"; a socket file as it is.
std::string JoinHostPort(const std::string& address, int port);

// The other way round. INVALID_ARGUMENT: not HOST:PORT, or an IPv6 address without brackets.
struct HostPort {
  std::string host;  // without brackets
  int port = 0;
};
absl::StatusOr<HostPort> SplitHostPort(const std::string& text);

}  // namespace parley::server

#include "server/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace parley::server {

std::string SocketPath(const std::string& address) {
  absl::string_view path = address;
  return absl::ConsumePrefix(&path, "unix:") ? std::string(path) : "";
}

bool IsLoopback(const std::string& address) {
  if (address == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string JoinHostPort(const std::string& address, int port) {
  if (!SocketPath(address).empty()) return address;
  if (absl::StrContains(address, ':')) return absl::StrCat("[", address, "]:", port);
  return absl::StrCat(address, ":", port);
}

absl::StatusOr<HostPort> SplitHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is not HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464"));
  if (colon == std::string::npos || colon == 0) return wrong;
  HostPort parts{.host = text.substr(0, colon)};
  const std::string port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(port, &parts.port) || parts.port > 65'535) {
    return wrong;
  }
  if (parts.host.front() == '[') {
    in6_addr v6{};
    if (parts.host.back() != ']') return wrong;
    parts.host = parts.host.substr(1, parts.host.size() - 2);
    if (inet_pton(AF_INET6, parts.host.c_str(), &v6) != 1) return wrong;
    return parts;
  }
  const bool name = std::all_of(parts.host.begin(), parts.host.end(),
                                [](char c) { return absl::ascii_isalnum(c) || c == '.' || c == '-'; });
  if (!name) return wrong;
  // 256.0.0.1 is no name: who opens the port would take it for another address.
  const bool numbers = std::none_of(parts.host.begin(), parts.host.end(),
                                    [](char c) { return absl::ascii_isalpha(c) || c == '-'; });
  in_addr v4{};
  if (numbers && inet_pton(AF_INET, parts.host.c_str(), &v4) != 1) return wrong;
  return parts;
}

}  // namespace parley::server

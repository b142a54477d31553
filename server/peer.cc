#include "server/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "server/address.h"

namespace parley::server {
namespace {

// The first value; a proxy that replaces leaves no second one.
absl::string_view Header(const grpc::ServerContextBase& context, const char* name) {
  const auto found = context.client_metadata().find(name);
  if (found == context.client_metadata().end()) return {};
  return {found->second.data(), found->second.size()};
}

}  // namespace

std::string PeerKey(const std::string& ip) {
  char text[INET6_ADDRSTRLEN];
  in_addr v4{};
  if (inet_pton(AF_INET, ip.c_str(), &v4) == 1) return inet_ntop(AF_INET, &v4, text, sizeof(text));
  in6_addr v6{};
  if (inet_pton(AF_INET6, ip.substr(0, ip.find('%')).c_str(), &v6) != 1) return "";
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    std::memcpy(&v4, &v6.s6_addr[12], sizeof(v4));
    return inet_ntop(AF_INET, &v4, text, sizeof(text));
  }
  if (IN6_IS_ADDR_LOOPBACK(&v6)) return "::1";
  std::memset(&v6.s6_addr[8], 0, 8);
  return absl::StrCat(inet_ntop(AF_INET6, &v6, text, sizeof(text)), "/64");
}

absl::StatusOr<Peer> PeerOf(const grpc::ServerContextBase& context) {
  // "ipv4:192.0.2.1:1234", "ipv6:%5B2001:db8::1%5D:1234", "unix:".
  const std::string text = absl::StrReplaceAll(context.peer(), {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  absl::string_view rest = text;
  Peer peer;
  std::string ip;
  if (absl::ConsumePrefix(&rest, "ipv4:") || absl::ConsumePrefix(&rest, "ipv6:")) {
    peer.address = std::string(rest);
    absl::string_view host = rest.substr(0, rest.rfind(':'));
    absl::ConsumePrefix(&host, "[");
    absl::ConsumeSuffix(&host, "]");
    ip = std::string(host);
  } else {
    ip = std::string(Header(context, kPeerHeader));
    peer.client_subject = std::string(Header(context, kClientSubjectHeader));
    peer.address = ip.empty() ? "unix" : ip;
    if (ip.empty()) return peer;
  }
  peer.key = PeerKey(ip);
  if (peer.key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(kPeerHeader, " is not an IP address"));
  }
  peer.loopback = IsLoopback(peer.key);
  return peer;
}

}  // namespace parley::server

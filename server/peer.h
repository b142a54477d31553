// Who is at the other end of a stream, for limits and logs.
#pragma once

#include <grpcpp/server_context.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley::server {

// What a proxy says of its client, in every stream's metadata, replacing what the client itself sent.
// Believed only over a socket file: whoever connects by TCP may claim anything, so there they are ignored.
inline constexpr char kPeerHeader[] = "x-parley-peer";                     // an IP address
inline constexpr char kClientSubjectHeader[] = "x-parley-client-subject";  // of its certificate; may be empty

struct Peer {
  std::string
      address;  // as logged: an IP address, with its port where that is known; "unix" without a header
  // What limits count by: the IPv4 address, or the /64 network of an IPv6 one, as one line gets that many.
  // Empty: a process of this machine that speaks for itself, by a socket file.
  std::string key;
  bool loopback = false;
  std::string client_subject;
};

// INVALID_ARGUMENT: the proxy's header is not an IP address.
absl::StatusOr<Peer> PeerOf(const grpc::ServerContextBase& context);

// The key of an IP address without a port; empty: it is none.
std::string PeerKey(const std::string& ip);

}  // namespace parley::server

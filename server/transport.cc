#include "server/transport.h"

#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "server/address.h"

namespace parley::server {
namespace {

// Descriptors that are not connections: the model's files, /metrics, what FFmpeg opens.
constexpr int kOtherDescriptors = 128;
constexpr int kStreamsAConnection = 100;
constexpr int kMetadataBytes = 16 << 10;
// What a stream may send before it is read: video of 20 Mbit/s over a line of 100 ms. By itself gRPC lets
// this grow with the bandwidth that it measures, to megabytes a stream where the proxy is on this machine.
constexpr int kStreamWindowBytes = 256 << 10;
// Of reflection, which is gRPC's own and takes one for each stream. What is over is RESOURCE_EXHAUSTED at
// once.
constexpr int kReflectionThreads = 16;
constexpr absl::Duration kHandshakeLimit = absl::Seconds(10);  // of TLS, and until HTTP/2's settings
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(10);

int Milliseconds(absl::Duration duration) { return static_cast<int>(absl::ToInt64Milliseconds(duration)); }

absl::Duration KeepaliveTimeout(const ServerOptions& options) {
  return std::min(options.keepalive, kKeepaliveTimeout);
}

}  // namespace

Listener::Options MakeListenerOptions(const ServerOptions& options) {
  const int most = std::max(16, RaiseDescriptorLimit() - kOtherDescriptors);
  return {.address = options.address,
          .port = options.port,
          .max_connections = std::min(most, options.max_connections),
          .max_connections_per_peer = options.max_connections_per_peer,
          .user_timeout = KeepaliveTimeout(options)};
}

void SetTransportLimits(const ServerOptions& options, int max_message_bytes, grpc::ServerBuilder& builder) {
  // Over the limit gRPC itself ends the stream with RESOURCE_EXHAUSTED: the bytes never reach us.
  builder.SetMaxReceiveMessageSize(max_message_bytes);
  // Compressed messages are refused with UNIMPLEMENTED: gRPC inflates one, to a thousand times its size,
  // before it looks at the limit, and audio and pictures come compressed already.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(KeepaliveTimeout(options)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Clients may ping as often as this without being taken for an attack.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsAConnection);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(options.connection_idle));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(kHandshakeLimit));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  grpc::ResourceQuota quota("connections");
  quota.Resize(static_cast<size_t>(options.max_transport_bytes));
  quota.SetMaxThreads(kReflectionThreads);
  builder.SetResourceQuota(quota);
}

std::string KnownWeakness(const ServerOptions& options, const std::string& version) {
  if (!SocketPath(options.address).empty() || IsLoopback(options.address)) return "";
  // 1.56.3 has the last of the four fixes; a version that does not parse is taken for an old one.
  std::vector<int> numbers;
  for (const absl::string_view part : absl::StrSplit(version, absl::ByAnyChar(".-"))) {
    int number = 0;
    if (!absl::SimpleAtoi(part, &number)) break;
    numbers.push_back(number);
  }
  if (numbers >= std::vector<int>{1, 56, 3}) return "";
  // CVE-2023-4785, a connection too many, is in code that Listener stands for.
  return "CVE-2023-44487 (rapid reset), CVE-2023-33953 (header compression), CVE-2023-1428 (headers)";
}

}  // namespace parley::server

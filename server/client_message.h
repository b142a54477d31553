// The bytes of one message of a call's stream: a ClientMessage, or the notice of deploy/edge that it has kept
// one from the server.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <cstddef>

#include "parley/v1/parley.pb.h"

namespace parley::server {

// In place of a message over its --max-message-bytes deploy/edge sends the notice: kTooLongNotice, the
// message's length and the limit, each in four bytes, big-endian (deploy/envoy/message_limit.lua). The first
// byte makes it no ClientMessage. It is believed whoever sends it: all it does is end the stream.
inline constexpr char kTooLongNotice[] = "\xffTOOLONG";
inline constexpr size_t kTooLongNoticeBytes = 16;

// Takes `bytes`, which are empty afterwards. INVALID_ARGUMENT: they are neither. RESOURCE_EXHAUSTED: a
// notice, with words for the client: it gets the code that gRPC ends a stream with over
// Limits.max_message_bytes.
grpc::Status ReadClientMessage(grpc::ByteBuffer* bytes, v1::ClientMessage* to);

}  // namespace parley::server

#include "server/client_message.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/slice.h>

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace parley::server {
namespace {

uint32_t BigEndian(absl::string_view four_bytes) {
  uint32_t value = 0;
  for (const char byte : four_bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

grpc::Status ReadClientMessage(grpc::ByteBuffer* bytes, v1::ClientMessage* to) {
  if (bytes->Length() == kTooLongNoticeBytes) {
    grpc::Slice slice;
    if (bytes->DumpToSingleSlice(&slice).ok()) {
      const absl::string_view text(reinterpret_cast<const char*>(slice.begin()), slice.size());
      constexpr size_t prefix = sizeof(kTooLongNotice) - 1;
      if (absl::StartsWith(text, kTooLongNotice)) {
        bytes->Clear();
        return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                            absl::StrCat("a message of ", BigEndian(text.substr(prefix, 4)),
                                         " bytes: at most ", BigEndian(text.substr(prefix + 4)),
                                         " pass to this server, which takes Limits.max_message_bytes"));
      }
    }
  }
  const grpc::Status parsed = grpc::SerializationTraits<v1::ClientMessage>::Deserialize(bytes, to);
  bytes->Clear();
  if (parsed.ok()) return parsed;
  return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                      "not a ClientMessage: damaged, or text that is not UTF-8");
}

}  // namespace parley::server

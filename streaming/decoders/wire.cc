#include "streaming/decoders/wire.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace parley::streaming {

static_assert(std::is_trivially_copyable_v<ForkRequest> && std::is_trivially_copyable_v<ForkReply>);
static_assert(std::is_trivially_copyable_v<DecodeRequest> && std::is_trivially_copyable_v<DecodeReply>);

namespace {

absl::Status Wrong(absl::string_view what) {
  return absl::InternalError(absl::StrCat("the picture decoder's reply is wrong: ", what));
}

std::string Printable(absl::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return printable;
}

}  // namespace

absl::StatusOr<CheckedReply> CheckReply(absl::string_view bytes, const DecodeRequest& request,
                                        int64_t max_pixels) {
  DecodeReply reply;
  if (bytes.size() != sizeof(reply)) return Wrong(absl::StrCat(bytes.size(), " bytes"));
  std::memcpy(&reply, bytes.data(), sizeof(reply));
  if (reply.number != request.number)
    return Wrong(absl::StrCat("number ", reply.number, ", not ", request.number));
  if (reply.message_bytes > sizeof(reply.message)) return Wrong("a message longer than its place");
  const std::string message = Printable({reply.message, reply.message_bytes});
  switch (reply.code) {
    case DecodeCode::kPicture:
      if (!request.want) return Wrong("a picture that was not asked for");
      if (reply.width < 1 || reply.height < 1 || reply.width > max_pixels / reply.height)
        return Wrong(absl::StrCat("a picture of ", reply.width, " x ", reply.height));
      return CheckedReply{absl::OkStatus(), reply.width, reply.height};
    case DecodeCode::kNothing:
      return CheckedReply{absl::OkStatus()};
    case DecodeCode::kDamaged:
      return CheckedReply{absl::InvalidArgumentError(message)};
    case DecodeCode::kWaitsForKey:
      return CheckedReply{absl::UnavailableError(message)};
    case DecodeCode::kTooLarge:
      return CheckedReply{absl::ResourceExhaustedError(message)};
    case DecodeCode::kOutOfMemory:
      return CheckedReply{absl::AbortedError(message)};
    case DecodeCode::kOther:
      return CheckedReply{absl::InternalError(message)};
  }
  return Wrong(absl::StrCat("code ", static_cast<uint32_t>(reply.code)));
}

DecodeReply MakeReply(uint64_t number, const absl::Status& status) {
  DecodeReply reply;
  reply.number = number;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      reply.code = DecodeCode::kNothing;
      break;
    case absl::StatusCode::kInvalidArgument:
      reply.code = DecodeCode::kDamaged;
      break;
    case absl::StatusCode::kUnavailable:
      reply.code = DecodeCode::kWaitsForKey;
      break;
    case absl::StatusCode::kResourceExhausted:
      // VideoDecoder has one code for both; its words tell a picture over the limit from memory that is out.
      reply.code =
          absl::StartsWith(status.message(), "no memory") ? DecodeCode::kOutOfMemory : DecodeCode::kTooLarge;
      break;
    default:
      reply.code = DecodeCode::kOther;
  }
  reply.message_bytes = static_cast<uint32_t>(std::min(status.message().size(), sizeof(reply.message)));
  std::copy_n(status.message().data(), reply.message_bytes, reply.message);
  return reply;
}

}  // namespace parley::streaming

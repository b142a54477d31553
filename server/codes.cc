#include "server/codes.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace parley::server {

CodePolicy PolicyOf(v1::Code code) {
  using grpc::StatusCode;
  switch (code) {
    // The client's messages can no longer be told apart: nothing that follows can be trusted.
    case v1::INVALID_SEQUENCE:
      return {.fatal = true, .retryable = false, .status = StatusCode::INVALID_ARGUMENT};
    // One message was refused; what was in force stays so.
    case v1::INVALID_CONFIG:
    case v1::INVALID_MESSAGE:
    case v1::UNSUPPORTED_CODEC:
    case v1::UNDECODABLE_AUDIO:
    case v1::TOO_LARGE:
    case v1::AUDIO_GAP:
    case v1::AUDIO_OVERLAP:
    case v1::UNKNOWN_RESPONSE:
      return {.fatal = false, .retryable = false, .status = StatusCode::INVALID_ARGUMENT};
    case v1::ALREADY_OPEN:
    case v1::WRONG_MODE:
      return {.fatal = false, .retryable = false, .status = StatusCode::FAILED_PRECONDITION};
    case v1::NOT_OPEN:
      return {.fatal = true, .retryable = false, .status = StatusCode::FAILED_PRECONDITION};
    // The conversation holds all it can; a new call starts empty.
    case v1::CONTEXT_FULL:
      return {.fatal = true, .retryable = true, .status = StatusCode::RESOURCE_EXHAUSTED};
    case v1::SLOW_READER:
    case v1::AT_CAPACITY:
      return {.fatal = true, .retryable = true, .status = StatusCode::RESOURCE_EXHAUSTED};
    case v1::SHUTTING_DOWN:
      return {.fatal = true, .retryable = true, .status = StatusCode::UNAVAILABLE};
    case v1::DEADLINE:
      return {.fatal = true, .retryable = true, .status = StatusCode::DEADLINE_EXCEEDED};
    case v1::ENGINE_FAILED:
      return {.fatal = true, .retryable = true, .status = StatusCode::INTERNAL};
    case v1::INTERNAL:
    default:
      return {.fatal = true, .retryable = false, .status = StatusCode::INTERNAL};
  }
}

Fault MakeFault(v1::Code code, std::string message) {
  return Fault{.code = code, .message = std::move(message), .fatal = PolicyOf(code).fatal};
}

Fault NotStarted(const absl::Status& status, absl::Duration retry_after) {
  Fault fault = MakeFault(absl::IsInvalidArgument(status)     ? v1::INVALID_CONFIG
                          : absl::IsResourceExhausted(status) ? v1::AT_CAPACITY
                                                              : v1::ENGINE_FAILED,
                          std::string(status.message()));
  if (fault.code == v1::AT_CAPACITY)
    fault.retry_after_ms = static_cast<uint32_t>(
        std::clamp<int64_t>(absl::ToInt64Milliseconds(retry_after), 0, std::numeric_limits<uint32_t>::max()));
  return fault;
}

}  // namespace parley::server

// What each error code of the wire contract does to a call, in one table.
#pragma once

#include <grpcpp/support/status_code_enum.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "parley/v1/parley.pb.h"

namespace parley::server {

struct CodePolicy {
  // The call ends with it. Before the call is open every error is fatal: there is no call to go on with.
  bool fatal = false;
  // The same call may succeed later.
  bool retryable = false;
  // The status of the stream that it ends.
  grpc::StatusCode status = grpc::StatusCode::UNKNOWN;
};

// A code this version does not know is treated as INTERNAL.
CodePolicy PolicyOf(v1::Code code);

// Something a client did, or that happened to its call, which it is told about by an Error message.
struct Fault {
  v1::Code code = v1::CODE_UNSPECIFIED;
  std::string message;
  bool fatal = false;
  uint32_t retry_after_ms = 0;
};

// A fault with what the table says for its code.
Fault MakeFault(v1::Code code, std::string message);

// What the client is told of a call that could not be started. `retry_after`: where there was no room for it.
Fault NotStarted(const absl::Status& status, absl::Duration retry_after);

}  // namespace parley::server

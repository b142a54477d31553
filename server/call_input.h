// A client's message as its call takes it.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "parley/v1/parley.pb.h"
#include "streaming/api/call_config.h"
#include "streaming/api/call_inputs.h"

namespace parley::server {

streaming::CallLimits ToCallLimits(const v1::Limits& limits);

// Nothing: the message is the session's own (SessionOpen, SessionUpdate, Ping, SessionClose). Else takes the
// content out of `message`. `captured`: its capture_time_us, placed on this server's clock. REQUIRES:
// CheckMessage passed it.
std::optional<streaming::CallInput> ToCallInput(v1::ClientMessage& message, absl::Time captured);

}  // namespace parley::server

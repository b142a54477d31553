// Hands what a client sent to its call.
#pragma once

#include "absl/time/time.h"
#include "parley/v1/parley.pb.h"
#include "streaming/api/call_config.h"
#include "streaming/call/live_call.h"

namespace parley::server {

streaming::CallLimits ToCallLimits(const v1::Limits& limits);

// Input and control messages; the others (SessionOpen, SessionUpdate, Ping, SessionClose) are the session's
// own, and are left alone. Takes the content out of `message`. `captured`: its capture_time_us, placed on
// this server's clock. REQUIRES: CheckMessage passed it.
void Dispatch(v1::ClientMessage& message, absl::Time captured, streaming::LiveCall& call);

}  // namespace parley::server

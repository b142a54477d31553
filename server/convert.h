// Between the streaming folder's types and the wire's.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "engine/api/engine.h"
#include "parley/v1/parley.pb.h"
#include "server/codes.h"
#include "streaming/api/call_config.h"
#include "streaming/api/call_events.h"

namespace parley::server {

// Every field set: what is in force.
v1::SessionConfig ToProto(const streaming::CallConfig& config);
// Requires every field set, as ToProto does, and within its range (ParseConfig in validation.h sees to both).
streaming::CallConfig FromProto(const v1::SessionConfig& config);
// Unset: none that this server knows.
std::optional<streaming::VideoCodec> FromProto(v1::VideoFormat::Codec codec);
v1::ModelInfo ToProto(const engine::EngineInfo& info);
v1::Code ToProto(streaming::CallCode code);
// An Error. `client_seq`: of the message that caused it; 0: none.
v1::ServerMessage ToProto(const Fault& fault, uint64_t client_seq);

// The moments of a turn as durations. `first_write`: when the answer's first token was handed to the
// transport; InfinitePast where there was none. A stage that did not happen, or whose moments are out of
// order, is 0.
v1::TurnMetrics ToProto(const streaming::TurnTimes& times, absl::Time first_write);

// Everything but seq and server_time_us. ConfigChanged (SessionReady needs the call), TurnTimes (see above)
// and CallEnded give a message without a payload.
v1::ServerMessage ToProto(const streaming::CallEvent& event);

}  // namespace parley::server

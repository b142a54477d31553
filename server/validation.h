// Checks what a client sends against the wire contract before anything acts on it. Pure functions: no gRPC
// stream, no clock, no threads.
//
// Strings need no UTF-8 check here: protobuf refuses to parse a proto3 string that is not UTF-8, and a
// message that does not parse never gets this far (see CallStream).
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "parley/v1/parley.pb.h"
#include "server/codes.h"
#include "streaming/api/call_config.h"

namespace parley::server {

// What the loaded bundle can take.
struct Accepts {
  bool audio = true;
  bool video = true;
  bool speech_detection = true;  // TurnConfig.VAD
};

using ConfigOrFault = std::variant<streaming::CallConfig, Fault>;

// Fills what is unset with its default, and refuses what is out of its range or what the bundle cannot
// honour.
ConfigOrFault ParseConfig(const v1::SessionConfig& config, const v1::Limits& limits, const Accepts& accepts);

// `current` with the paths in the update's mask replaced; a masked field left unset goes back to its default.
ConfigOrFault ApplyUpdate(const v1::SessionUpdate& update, const streaming::CallConfig& current,
                          const v1::Limits& limits, const Accepts& accepts);

// What the checks remember of one call. Used by the one thread at a time that reads its messages.
struct InboundState {
  uint64_t last_seq = 0;
  std::optional<streaming::CallConfig> config;  // in force; unset: the call is not open
  uint64_t last_frame_id = 0;
};

// Everything but the contents of SessionOpen and SessionUpdate, which the two functions above check:
// sequence, order of messages, sizes, ranges. A fault that is not fatal means that this message is to be left
// out. Updates `state` (not its config).
std::optional<Fault> CheckMessage(const v1::ClientMessage& message, const v1::Limits& limits,
                                  InboundState& state);

}  // namespace parley::server

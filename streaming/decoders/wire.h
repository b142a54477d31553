// What passes between the server, the fork server and the decoders: fixed structs over SOCK_SEQPACKET,
// pictures through shared memory. Both ends are of one build, which the fork server's first message shows.
// The server takes what a decoder says for a stranger's bytes.
//
//   server -> fork server   ForkRequest; kSpawn with the descriptors of a decoder: socket, memory
//   fork server -> server   ForkReply
//   server -> decoder       DecodeRequest, one at a time; the frame's bytes lie in the memory after the
//                           picture, and after them the parameter sets of the frames before it
//   decoder -> server       DecodeReply; the picture lies at the memory's start
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "streaming/video/h264_parameter_sets.h"
#include "streaming/video/video_input.h"

namespace parley::streaming {

inline constexpr uint32_t kDecoderProtocol = 0x50440002;  // grows with any change here

// What a decoder is started with. Trivial: it is sent as it lies in memory.
struct DecoderConfig {
  int32_t codec = 0;  // VideoCodec
  int32_t cpu_seconds = 0;
  int64_t max_pixels = 0;
  int64_t max_frame_bytes = 0;
  int64_t memory_bytes = 0;  // address space, beside what the fork server has and the shared memory

  int64_t picture_bytes() const { return 3 * max_pixels; }
  // Where a frame's parameter sets lie.
  int64_t parameter_sets_at() const { return picture_bytes() + max_frame_bytes; }
  int64_t shared_bytes() const {
    return parameter_sets_at() + static_cast<int64_t>(H264ParameterSets::kMaxBytes);
  }
};

struct ForkRequest {
  enum Kind : uint32_t { kSpawn = 1, kKill = 2 };
  uint32_t kind = 0;
  uint32_t reserved = 0;
  uint64_t child = 0;  // the server's name for it
  DecoderConfig config;
};

struct ForkReply {
  enum Kind : uint32_t { kReady = 1, kUnable = 2, kSpawned = 3, kEnded = 4 };
  uint32_t kind = 0;
  uint32_t protocol = kDecoderProtocol;
  uint64_t child = 0;
  int32_t pid = 0;
  int32_t status = 0;      // kEnded: that of waitpid
  uint32_t codecs = 0;     // kReady: bit 1 << VideoCodec for each that opens
  char message[204] = {};  // kUnable: why; ends with a zero
};

struct DecodeRequest {
  uint64_t number = 0;
  int64_t bytes = 0;
  int64_t parameter_set_bytes = 0;  // with after_loss
  int32_t rotation_degrees = 0;
  uint8_t want = 0;
  uint8_t after_loss = 0;
  uint8_t reserved[2] = {};
};

enum class DecodeCode : uint32_t {
  kPicture = 0,
  kNothing = 1,      // not wanted, or the frame shows nothing
  kDamaged = 2,      // INVALID_ARGUMENT
  kWaitsForKey = 3,  // UNAVAILABLE
  kTooLarge = 4,     // RESOURCE_EXHAUSTED
  kOutOfMemory = 5,  // ABORTED
  kOther = 6,        // INTERNAL
};

struct DecodeReply {
  uint64_t number = 0;
  DecodeCode code = DecodeCode::kOther;
  int32_t width = 0;
  int32_t height = 0;
  uint32_t message_bytes = 0;
  char message[200] = {};
};

// A reply that holds what was asked for.
struct CheckedReply {
  absl::Status status;
  int width = 0;  // 0: no picture
  int height = 0;
};

// INTERNAL: it is no reply to `request`. The message in an error's status is made printable.
absl::StatusOr<CheckedReply> CheckReply(absl::string_view bytes, const DecodeRequest& request,
                                        int64_t max_pixels);
// The other way round; kNothing where it is OK. Part of a long message is left out.
DecodeReply MakeReply(uint64_t number, const absl::Status& status);

}  // namespace parley::streaming

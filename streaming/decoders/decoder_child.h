// A decoder's process, from the inside: takes frames over its socket until that ends.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "streaming/decoders/wire.h"
#include "streaming/video/video_input.h"

namespace parley::streaming {

// VideoInput::Create, but in tests.
using VideoInputFactory =
    std::function<absl::StatusOr<std::unique_ptr<VideoInput>>(VideoCodec codec, int64_t max_pixels)>;

// Answers the DecodeRequests of `socket_fd`; pictures go through `memory_fd`, see wire.h. Returns the
// process's exit code: 0 when the other end is gone, 1 when it speaks another language, 2 when there is no
// memory to begin.
int ServeFrames(int socket_fd, int memory_fd, const DecoderConfig& config, const VideoInputFactory& factory);

}  // namespace parley::streaming

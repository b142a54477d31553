// What a decoder's process may take, and what its end says of the frame that it had.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "streaming/decoders/wire.h"

namespace parley::streaming {

// The core time and address space that a decoder of this codec may take.
DecoderConfig ConfigOf(VideoCodec codec, int64_t max_pixels, int64_t max_frame_bytes);

// `status`: that of waitpid. DEADLINE_EXCEEDED: its core time was used up. ABORTED: it was killed, or left by
// itself. INVALID_ARGUMENT: it crashed, or did what it may not.
absl::Status StatusOfEnd(int status);

}  // namespace parley::streaming

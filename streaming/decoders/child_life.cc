#include "streaming/decoders/child_life.h"

#include <signal.h>
#include <sys/wait.h>

#include "absl/strings/str_cat.h"
#include "streaming/decoders/picture_decoders.h"

namespace parley::streaming {

DecoderConfig ConfigOf(VideoCodec codec, int64_t max_pixels, int64_t max_frame_bytes) {
  // A still: the picture as the format has it (at most 8 bytes a pixel, and as many for the coefficients of a
  // progressive JPEG), as libswscale wrote it, and turned. A stream: up to 16 pictures that later ones refer
  // to, at 1.5 bytes a pixel, or 9 at 3. What does not fit is refused as out of memory, other formats of the
  // largest size included. Beside it tables: of a lossless WebP made for it those take 250 times its bytes.
  constexpr int64_t kTables = 64 << 20;
  const int64_t bytes_a_pixel = HasIndependentFrames(codec) ? 24 : 40;
  DecoderConfig config;
  config.codec = static_cast<int32_t>(codec);
  config.cpu_seconds = 4 * 3600;
  config.max_pixels = max_pixels;
  config.max_frame_bytes = max_frame_bytes;
  config.memory_bytes = kTables + bytes_a_pixel * max_pixels;
  return config;
}

absl::Status StatusOfEnd(int status) {
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  switch (signal) {
    case SIGXCPU:
      return absl::DeadlineExceededError("the picture decoder used up its processor time");
    case SIGKILL:
      return absl::AbortedError("the picture decoder was killed, as when memory is short");
    case SIGSYS:
      return absl::InvalidArgumentError("the picture decoder did what it may not (SIGSYS)");
    case 0:
      return absl::AbortedError(absl::StrCat("the picture decoder ended with code ", WEXITSTATUS(status)));
    default:
      return absl::InvalidArgumentError(absl::StrCat("the picture decoder crashed (signal ", signal, ")"));
  }
}

}  // namespace parley::streaming

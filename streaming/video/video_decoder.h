// What turns one call's frames into pictures: bytes in, the last picture that they showed out.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "streaming/video/video_input.h"

struct AVFrame;

namespace parley::streaming {

// Not thread-safe: used by one strand. One thread: pictures come out without delay, and many calls share the
// cores.
class VideoDecoder {
 public:
  // No picture of much over `max_pixels` (row padding apart) is allocated, and all that the decoder keeps at
  // a time take at most PictureBytesAllowed, whatever their headers say; of VP8 and VP9 the header has been
  // read.
  static absl::StatusOr<std::unique_ptr<VideoDecoder>> Open(VideoCodec codec, int64_t max_pixels);
  virtual ~VideoDecoder() = default;

  // Decodes one frame given in `pieces`. Null: it shows nothing. The picture is the decoder's own and lives
  // until the next call. `spare`: nobody wants it, and it may be left out if no other refers to it.
  // INVALID_ARGUMENT: damaged; nothing of a damaged picture is shown. RESOURCE_EXHAUSTED: it would take more
  // than PictureBytesAllowed.
  virtual absl::StatusOr<const AVFrame*> Decode(const std::vector<std::string_view>& pieces, bool spare) = 0;
  // Forgets all pictures: the next frame is to be a key frame.
  virtual void Reset() = 0;
};

}  // namespace parley::streaming

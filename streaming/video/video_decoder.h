// One libavcodec decoder, owned: bytes in, the last picture that they showed out.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "streaming/video/video_input.h"

struct AVCodecContext;
struct AVFrame;
struct AVPacket;

namespace parley::streaming {

// Not thread-safe: used by one strand. One thread: pictures come out without delay, and many calls share the
// cores.
class VideoDecoder {
 public:
  // No picture of much over `max_pixels` (row padding apart) is allocated.
  static absl::StatusOr<std::unique_ptr<VideoDecoder>> Open(VideoCodec codec, int64_t max_pixels);
  ~VideoDecoder();

  // Decodes one frame given in `pieces`. Null: it shows nothing. The picture is the decoder's own and lives
  // until the next call. `want` false: pictures that no other refers to are left out. INVALID_ARGUMENT:
  // damaged; nothing of a damaged picture is shown.
  absl::StatusOr<const AVFrame*> Decode(const std::vector<std::string_view>& pieces, bool want);
  // Forgets all pictures: the next frame is to be a key frame.
  void Reset();

 private:
  VideoDecoder() = default;

  AVCodecContext* context_ = nullptr;
  AVPacket* packet_ = nullptr;
  AVFrame* shown_ = nullptr;
  AVFrame* incoming_ = nullptr;
};

}  // namespace parley::streaming

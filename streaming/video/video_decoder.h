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
  // No picture of much over `max_pixels` (row padding apart) is allocated, and all that the decoder keeps at
  // a time take at most PictureBytesAllowed, whatever their headers say.
  static absl::StatusOr<std::unique_ptr<VideoDecoder>> Open(VideoCodec codec, int64_t max_pixels);
  ~VideoDecoder();

  // Decodes one frame given in `pieces`. Null: it shows nothing. The picture is the decoder's own and lives
  // until the next call. `spare`: nobody wants it, and it may be left out if no other refers to it.
  // INVALID_ARGUMENT: damaged; nothing of a damaged picture is shown. RESOURCE_EXHAUSTED: it would take more
  // than PictureBytesAllowed.
  absl::StatusOr<const AVFrame*> Decode(const std::vector<std::string_view>& pieces, bool spare);
  // Forgets all pictures: the next frame is to be a key frame.
  void Reset();

 private:
  // Bytes of the pictures that live, the decoder's own and those given out. Outlives the decoder where one of
  // them does.
  struct PictureMemory {
    explicit PictureMemory(int64_t limit) : allowed(limit) {}
    const int64_t allowed;
    int64_t used = 0;
    bool exhausted = false;  // set when a picture did not fit
  };

  VideoDecoder(VideoCodec codec, int64_t max_pixels);
  static int GetBuffer(AVCodecContext* context, AVFrame* frame, int flags);

  const VideoCodec codec_;
  const std::shared_ptr<PictureMemory> memory_;
  AVCodecContext* context_ = nullptr;
  AVPacket* packet_ = nullptr;
  AVFrame* shown_ = nullptr;
  AVFrame* incoming_ = nullptr;
};

}  // namespace parley::streaming

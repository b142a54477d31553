// One libvpx decoder of VP8 (RFC 6386) or VP9, owned.
//
// The last part of such a frame has no length of its own: a frame whose last bytes are cut off looks whole,
// and all decoders read zeros there. libvpx keeps account of it, for each partition and tile and to the last
// bit; libavcodec counts only from ten blocks on, and for VP8 does not tell.
#pragma once

#include <vpx/vpx_decoder.h>

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "streaming/video/video_decoder.h"

namespace parley::streaming {

// Keeps four pictures of VP8 (6 bytes a pixel), ten of VP9, each with a border of 32 pixels around it. Their
// sizes the caller has checked by ReadStreamHeader, as it has checked that the first frame is a key frame.
class VpxDecoder : public VideoDecoder {
 public:
  // `codec`: kVp8 or kVp9.
  static absl::StatusOr<std::unique_ptr<VideoDecoder>> Open(VideoCodec codec);
  ~VpxDecoder() override;

  // A spare frame is decoded like any other.
  absl::StatusOr<const AVFrame*> Decode(const std::vector<std::string_view>& pieces, bool spare) override;
  void Reset() override { spent_ = true; }

 private:
  explicit VpxDecoder(VideoCodec codec) : codec_(codec) {}
  absl::Status Begin();
  absl::Status Damaged(vpx_codec_err_t error);

  const VideoCodec codec_;
  vpx_codec_ctx_t decoder_ = {};
  // The next frame begins with a decoder that is new. One of VP9 that has met damage loses a picture buffer
  // each time, until it has none.
  bool spent_ = false;
  AVFrame* shown_ = nullptr;  // its planes are libvpx's
};

}  // namespace parley::streaming

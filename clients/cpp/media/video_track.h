// Pictures of any kind in, frames that a Parley server takes out: H.264 (as Annex B), VP8 and VP9 pass as
// they are; everything else is decoded and goes out as JPEG stills, at most `stills_per_second`, at most 768
// pixels on the longer side.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/media/ffmpeg.h"
#include "clients/cpp/media/item.h"
#include "parley/v1/parley.pb.h"

namespace parley::client::media {

// One thread.
class VideoTrack {
 public:
  using Emit = std::function<void(Item)>;

  // `start`: the media's time stamp that counts as 0.
  static absl::StatusOr<std::unique_ptr<VideoTrack>> Open(AVStream& stream, absl::Duration start,
                                                          double stills_per_second, Emit emit);

  v1::VideoFormat::Codec codec() const { return codec_; }

  // A packet of the stream; null at the end. Damaged packets are left out when they must be decoded, and
  // passed on when they need not be.
  absl::Status Push(const AVPacket* packet);

 private:
  VideoTrack() = default;
  absl::Status Pass(const AVPacket* packet);
  absl::Status Decode(const AVPacket* packet);
  absl::Status EmitStill(const AVFrame& frame);
  absl::Duration Time(int64_t time_stamp) const;

  v1::VideoFormat::Codec codec_ = v1::VideoFormat::JPEG;
  AVRational time_base_{};
  absl::Duration start_;
  absl::Duration still_interval_;
  uint32_t rotation_degrees_ = 0;
  Emit emit_;
  BsfPtr annex_b_;    // H.264 only
  CodecPtr decoder_;  // stills only, with all below
  CodecPtr encoder_;
  SwsPtr scaler_;
  int input_width_ = 0, input_height_ = 0, input_format_ = -1;  // what scaler_ and encoder_ were made for
  FramePtr frame_, scaled_;
  PacketPtr packet_;
  std::optional<absl::Duration> last_still_;
  absl::Duration last_time_;  // for packets without a time stamp
};

}  // namespace parley::client::media

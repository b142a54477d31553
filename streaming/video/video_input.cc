#include "streaming/video/video_input.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "streaming/video/exif.h"
#include "streaming/video/ffmpeg_log.h"
#include "streaming/video/h264_stream.h"
#include "streaming/video/picture_converter.h"
#include "streaming/video/picture_header.h"
#include "streaming/video/still_header.h"
#include "streaming/video/video_decoder.h"

extern "C" {
#include <libavutil/frame.h>
}

namespace parley::streaming {
namespace {

class ImageTarget final : public PictureTarget {
 public:
  uint8_t* Start(int width, int height) override {
    image_->width = width;
    image_->height = height;
    image_->pixels.resize(3 * static_cast<size_t>(width) * static_cast<size_t>(height));
    return image_->pixels.data();
  }
  engine::ImagePtr Take() { return std::move(image_); }

 private:
  std::shared_ptr<engine::Image> image_ = std::make_shared<engine::Image>();
};

class StillInput : public VideoInput {
 public:
  StillInput(VideoCodec codec, int64_t max_pixels) : codec_(codec), max_pixels_(max_pixels) {}

  absl::StatusOr<bool> DecodeTo(std::string_view data, int rotation_degrees, PictureTarget* target) override {
    const auto header = ReadStillHeader(codec_, data, max_pixels_);
    if (!header.ok()) return header.status();
    if (target == nullptr) return false;
    // The sender who turns the frame has looked at it; else what the camera wrote holds.
    const int orientation =
        rotation_degrees == 0 ? header->orientation : OrientationOfRotation(rotation_degrees);
    if (header->pieces_again.empty()) {
      if (absl::Status status = DecodeOnce(header->pieces, orientation, *target); !status.ok()) return status;
      return true;
    }
    ImageTarget first, second;
    if (absl::Status status = DecodeOnce(header->pieces, orientation, first); !status.ok()) return status;
    if (absl::Status status = DecodeOnce(header->pieces_again, orientation, second); !status.ok())
      return status;
    const engine::ImagePtr picture = first.Take();
    if (picture->pixels != second.Take()->pixels) {
      return absl::InvalidArgumentError("damaged picture: the last of its data are missing");
    }
    std::copy(picture->pixels.begin(), picture->pixels.end(), target->Start(picture->width, picture->height));
    return true;
  }

  bool independent_frames() const override { return true; }

 private:
  absl::Status DecodeOnce(const std::vector<std::string_view>& pieces, int orientation,
                          PictureTarget& target) {
    // A decoder each: a still leaves nothing behind (tables, pictures) that another could depend on.
    auto decoder = VideoDecoder::Open(codec_, max_pixels_);
    if (!decoder.ok()) return decoder.status();
    const auto frame = (*decoder)->Decode(pieces, /*spare=*/false);
    if (!frame.ok()) return frame.status();
    if (*frame == nullptr) return absl::InvalidArgumentError("damaged picture: it shows nothing");
    if (absl::Status status = CheckSize((*frame)->width, (*frame)->height, max_pixels_); !status.ok())
      return status;
    FfmpegLog log;
    return converter_.Convert(**frame, orientation, target);
  }

  const VideoCodec codec_;
  const int64_t max_pixels_;
  PictureConverter converter_;
};

class StreamInput : public VideoInput {
 public:
  StreamInput(VideoCodec codec, int64_t max_pixels, std::unique_ptr<VideoDecoder> decoder)
      : codec_(codec), max_pixels_(max_pixels), decoder_(std::move(decoder)), h264_(max_pixels) {}

  absl::StatusOr<bool> DecodeTo(std::string_view data, int rotation_degrees, PictureTarget* target) override {
    const auto frame = DecodeFrame(data, target != nullptr);
    if (!frame.ok()) {
      if (absl::IsUnavailable(frame.status())) return frame.status();
      // Later frames refer to what this one should have been.
      OnLoss({});
      return frame.status();
    }
    if (target == nullptr || *frame == nullptr) return false;
    FfmpegLog log;
    absl::Status status = converter_.Convert(**frame, OrientationOfRotation(rotation_degrees), *target);
    if (!status.ok()) return status;
    return true;
  }

  bool independent_frames() const override { return false; }

  void OnLoss(std::string_view parameter_sets) override {
    waits_ = true;
    decoder_->Reset();
    h264_.Restart(parameter_sets);
  }

 private:
  absl::StatusOr<const AVFrame*> DecodeFrame(std::string_view data, bool want) {
    std::vector<std::string_view> pieces = {data};
    const auto index = Vp9IndexOfOne(data.size());
    bool spare = !want;
    if (codec_ == VideoCodec::kH264) {
      auto message = h264_.Read(data, waits_);
      if (!message.ok()) return message.status();
      if (!message->has_picture) return nullptr;
      pieces = std::move(message->pieces);
      spare &= !message->reference;
    } else {
      const auto header = ReadStreamHeader(codec_, data, max_pixels_);
      if (!header.ok()) return header.status();
      if (waits_ && !header->key_frame) return absl::UnavailableError("waiting for a key frame");
      if (codec_ == VideoCodec::kVp9 && !header->superframe) pieces.emplace_back(index.data(), index.size());
    }
    auto frame = decoder_->Decode(pieces, spare);
    if (!frame.ok()) return frame;
    if (*frame != nullptr) {
      absl::Status status = CheckSize((*frame)->width, (*frame)->height, max_pixels_);
      if (!status.ok()) return status;
    }
    waits_ = false;
    return frame;
  }

  const VideoCodec codec_;
  const int64_t max_pixels_;
  std::unique_ptr<VideoDecoder> decoder_;
  H264Stream h264_;  // of an H.264 stream
  PictureConverter converter_;
  bool waits_ = true;  // for a key frame
};

}  // namespace

absl::StatusOr<engine::ImagePtr> VideoInput::Decode(std::string_view data, int rotation_degrees, bool want) {
  ImageTarget target;
  const auto written = DecodeTo(data, rotation_degrees, want ? &target : nullptr);
  if (!written.ok()) return written.status();
  return *written ? target.Take() : nullptr;
}

absl::StatusOr<std::unique_ptr<VideoInput>> VideoInput::Create(VideoCodec codec, int64_t max_pixels) {
  if (max_pixels < 1) return absl::InvalidArgumentError("max_pixels must be at least 1");
  // Opened at once for a still too: what this FFmpeg lacks shows when the call opens.
  auto decoder = VideoDecoder::Open(codec, max_pixels);
  if (!decoder.ok()) return decoder.status();
  switch (codec) {
    case VideoCodec::kJpeg:
    case VideoCodec::kPng:
    case VideoCodec::kWebp:
      return std::make_unique<StillInput>(codec, max_pixels);
    case VideoCodec::kH264:
    case VideoCodec::kVp8:
    case VideoCodec::kVp9:
      return std::make_unique<StreamInput>(codec, max_pixels, *std::move(decoder));
  }
  return absl::InvalidArgumentError("unknown video codec");
}

}  // namespace parley::streaming

#include "streaming/video/picture_converter.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

extern "C" {
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

namespace parley::streaming {
namespace {

constexpr size_t kRowAlignment = 64;
// A camera's rows are kept for its next frame; those of a large still are not.
constexpr size_t kMaxKeptBytes = 8 << 20;

bool FullRange(const AVFrame& frame) {
  switch (frame.format) {
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ444P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ411P:
      return true;
    default:
      return frame.color_range == AVCOL_RANGE_JPEG;
  }
}

int Matrix(const AVFrame& frame) {
  switch (frame.colorspace) {
    case AVCOL_SPC_BT709:
      return SWS_CS_ITU709;
    case AVCOL_SPC_FCC:
      return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE240M:
      return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
      return SWS_CS_BT2020;
    default:
      return SWS_CS_ITU601;
  }
}

// `source`: rows `stride` bytes apart. Writes the picture turned clockwise, rows without padding.
void Turn(const uint8_t* source, size_t stride, int width, int height, int rotation_degrees,
          uint8_t* target) {
  if (rotation_degrees == 0) {
    for (int y = 0; y < height; ++y)
      std::memcpy(target + 3 * size_t(y) * width, source + y * stride, 3 * size_t(width));
    return;
  }
  // Where pixel (0, 0) goes, and how far a step to the right and a step down move in the target, in pixels.
  const ptrdiff_t w = width;
  const ptrdiff_t h = height;
  ptrdiff_t origin = w * h - 1, right = -1, down = -w;               // 180
  if (rotation_degrees == 90) origin = h - 1, right = h, down = -1;  // the top row becomes the right column
  if (rotation_degrees == 270)
    origin = (w - 1) * h, right = -h, down = 1;  // the top row becomes the left column
  // In narrow strips: the target's rows that a strip becomes stay in the cache.
  constexpr int kStrip = 32;
  for (int x0 = 0; x0 < width; x0 += kStrip) {
    const int x1 = std::min(x0 + kStrip, width);
    for (int y = 0; y < height; ++y) {
      const uint8_t* from = source + y * stride + 3 * x0;
      uint8_t* to = target + 3 * (origin + y * down + x0 * right);
      for (int x = x0; x < x1; ++x, from += 3, to += 3 * right) {
        to[0] = from[0];
        to[1] = from[1];
        to[2] = from[2];
      }
    }
  }
}

}  // namespace

PictureConverter::~PictureConverter() { sws_freeContext(scaler_); }

absl::Status PictureConverter::Prepare(const AVFrame& frame) {
  const Kind kind{frame.width, frame.height, frame.format, Matrix(frame), FullRange(frame)};
  if (scaler_ != nullptr && kind == kind_) return absl::OkStatus();
  const auto format = static_cast<AVPixelFormat>(frame.format);
  if (sws_isSupportedInput(format) <= 0) {
    const char* name = av_get_pix_fmt_name(format);
    return absl::InvalidArgumentError(
        absl::StrCat("pixel format ", name == nullptr ? "?" : name, " is not taken"));
  }
  sws_freeContext(scaler_);
  scaler_ = sws_getContext(frame.width, frame.height, format, frame.width, frame.height, AV_PIX_FMT_RGB24,
                           SWS_BILINEAR, nullptr, nullptr, nullptr);
  if (scaler_ == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("libswscale takes no picture of ", frame.width, " x ", frame.height));
  }
  constexpr int kUnity = 1 << 16;
  // Fails for what has no matrix (RGB, grey, palettes), which then needs none.
  (void)sws_setColorspaceDetails(scaler_, sws_getCoefficients(kind.matrix), kind.full_range,
                                 sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, kUnity, kUnity);
  kind_ = kind;
  return absl::OkStatus();
}

absl::StatusOr<engine::ImagePtr> PictureConverter::Convert(const AVFrame& frame, int rotation_degrees) {
  if (rotation_degrees != 0 && rotation_degrees != 90 && rotation_degrees != 180 && rotation_degrees != 270) {
    return absl::InvalidArgumentError(absl::StrCat("a rotation of ", rotation_degrees, " degrees"));
  }
  if (absl::Status status = Prepare(frame); !status.ok()) return status;

  const auto width = static_cast<size_t>(frame.width);
  const auto height = static_cast<size_t>(frame.height);
  const size_t stride = (3 * width + 2 * kRowAlignment - 1) / kRowAlignment * kRowAlignment;
  rows_.resize(stride * height + kRowAlignment);
  uint8_t* const planes[4] = {rows_.data()};
  const int strides[4] = {static_cast<int>(stride)};
  if (sws_scale(scaler_, frame.data, frame.linesize, 0, frame.height, planes, strides) != frame.height) {
    return absl::InternalError("libswscale did not convert the whole picture");
  }

  auto image = std::make_shared<engine::Image>();
  image->width = frame.width;
  image->height = frame.height;
  if (rotation_degrees % 180 != 0) std::swap(image->width, image->height);
  image->pixels.resize(3 * width * height);
  Turn(rows_.data(), stride, frame.width, frame.height, rotation_degrees, image->pixels.data());
  if (rows_.size() > kMaxKeptBytes) std::vector<uint8_t>().swap(rows_);
  return image;
}

}  // namespace parley::streaming

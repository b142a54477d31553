#include "streaming/video/picture_converter.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/video/exif.h"

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

bool HasAlpha(AVPixelFormat format) {
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
  return descriptor != nullptr && (descriptor->flags & (AV_PIX_FMT_FLAG_ALPHA | AV_PIX_FMT_FLAG_PAL)) != 0;
}

// One row of RGBA, in place, to RGB over the background.
void Flatten(uint8_t* row, int width) {
  const uint8_t* from = row;
  for (int x = 0; x < width; ++x, from += 4, row += 3) {
    const int alpha = from[3];
    const int rest = PictureConverter::kBackground * (255 - alpha) + 127;
    row[0] = static_cast<uint8_t>((from[0] * alpha + rest) / 255);
    row[1] = static_cast<uint8_t>((from[1] * alpha + rest) / 255);
    row[2] = static_cast<uint8_t>((from[2] * alpha + rest) / 255);
  }
}

// `source`: rows `stride` bytes apart. Writes the picture upright, rows without padding.
void Turn(const uint8_t* source, size_t stride, int width, int height, int orientation, uint8_t* target) {
  if (orientation == kUpright) {
    for (int y = 0; y < height; ++y)
      std::memcpy(target + 3 * size_t(y) * width, source + y * stride, 3 * size_t(width));
    return;
  }
  // Where pixel (0, 0) goes, and how far a step to the right and a step down move in the target, in pixels.
  const ptrdiff_t w = width;
  const ptrdiff_t h = height;
  struct Steps {
    ptrdiff_t origin, right, down;
  };
  const Steps steps[] = {{w - 1, -1, w}, {w * h - 1, -1, -w}, {(h - 1) * w, 1, -w}, {0, h, 1},
                         {h - 1, h, -1}, {w * h - 1, -h, -1}, {(w - 1) * h, -h, 1}};  // from 2
  const auto [origin, right, down] = steps[orientation - 2];
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
  alpha_ = HasAlpha(format);
  scaler_ =
      sws_getContext(frame.width, frame.height, format, frame.width, frame.height,
                     alpha_ ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24, SWS_BILINEAR, nullptr, nullptr, nullptr);
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

absl::Status PictureConverter::Convert(const AVFrame& frame, int orientation, PictureTarget& target) {
  if (orientation < 1 || orientation > 8) {
    return absl::InvalidArgumentError("a rotation other than 0, 90, 180 and 270 degrees");
  }
  if (absl::Status status = Prepare(frame); !status.ok()) return status;

  const auto width = static_cast<size_t>(frame.width);
  const auto height = static_cast<size_t>(frame.height);
  const size_t pixel_bytes = alpha_ ? 4 : 3;
  const size_t stride = (pixel_bytes * width + 2 * kRowAlignment - 1) / kRowAlignment * kRowAlignment;
  rows_.resize(stride * height + kRowAlignment);
  uint8_t* const planes[4] = {rows_.data()};
  const int strides[4] = {static_cast<int>(stride)};
  if (sws_scale(scaler_, frame.data, frame.linesize, 0, frame.height, planes, strides) != frame.height) {
    return absl::InternalError("libswscale did not convert the whole picture");
  }
  if (alpha_) {
    for (size_t y = 0; y < height; ++y) Flatten(rows_.data() + y * stride, frame.width);
  }

  constexpr int kFirstThatSwapsRowsAndColumns = 5;
  const bool swaps = orientation >= kFirstThatSwapsRowsAndColumns;
  Turn(rows_.data(), stride, frame.width, frame.height, orientation,
       swaps ? target.Start(frame.height, frame.width) : target.Start(frame.width, frame.height));
  if (rows_.size() > kMaxKeptBytes) std::vector<uint8_t>().swap(rows_);
  return absl::OkStatus();
}

}  // namespace parley::streaming

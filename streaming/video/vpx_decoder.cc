#include "streaming/video/vpx_decoder.h"

#include <vpx/vp8dx.h>

#include <climits>
#include <string>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "streaming/video/picture_header.h"

extern "C" {
#include <libavutil/frame.h>
}

namespace parley::streaming {
namespace {

AVPixelFormat PixelFormat(const vpx_image_t& image) {
  struct Format {
    vpx_img_fmt_t vpx;
    unsigned depth;
    AVPixelFormat av;
    AVPixelFormat av_rgb = AV_PIX_FMT_NONE;  // red, green and blue, stored as such
  };
  constexpr Format kFormats[] = {
      {VPX_IMG_FMT_I420, 8, AV_PIX_FMT_YUV420P},
      {VPX_IMG_FMT_I422, 8, AV_PIX_FMT_YUV422P},
      {VPX_IMG_FMT_I440, 8, AV_PIX_FMT_YUV440P},
      {VPX_IMG_FMT_I444, 8, AV_PIX_FMT_YUV444P, AV_PIX_FMT_GBRP},
      {VPX_IMG_FMT_I42016, 10, AV_PIX_FMT_YUV420P10},
      {VPX_IMG_FMT_I42216, 10, AV_PIX_FMT_YUV422P10},
      {VPX_IMG_FMT_I44016, 10, AV_PIX_FMT_YUV440P10},
      {VPX_IMG_FMT_I44416, 10, AV_PIX_FMT_YUV444P10, AV_PIX_FMT_GBRP10},
      {VPX_IMG_FMT_I42016, 12, AV_PIX_FMT_YUV420P12},
      {VPX_IMG_FMT_I42216, 12, AV_PIX_FMT_YUV422P12},
      {VPX_IMG_FMT_I44016, 12, AV_PIX_FMT_YUV440P12},
      {VPX_IMG_FMT_I44416, 12, AV_PIX_FMT_YUV444P12, AV_PIX_FMT_GBRP12},
  };
  const unsigned depth = (image.fmt & VPX_IMG_FMT_HIGHBITDEPTH) != 0 ? image.bit_depth : 8;
  for (const Format& format : kFormats) {
    if (image.fmt == format.vpx && depth == format.depth)
      return image.cs == VPX_CS_SRGB ? format.av_rgb : format.av;
  }
  return AV_PIX_FMT_NONE;
}

AVColorSpace ColorSpace(vpx_color_space_t space) {
  switch (space) {
    case VPX_CS_BT_601:
      return AVCOL_SPC_BT470BG;
    case VPX_CS_BT_709:
      return AVCOL_SPC_BT709;
    case VPX_CS_SMPTE_170:
      return AVCOL_SPC_SMPTE170M;
    case VPX_CS_SMPTE_240:
      return AVCOL_SPC_SMPTE240M;
    case VPX_CS_BT_2020:
      return AVCOL_SPC_BT2020_NCL;
    case VPX_CS_SRGB:
      return AVCOL_SPC_RGB;
    default:
      return AVCOL_SPC_UNSPECIFIED;  // VP8 tells none
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<VideoDecoder>> VpxDecoder::Open(VideoCodec codec) {
  auto decoder = absl::WrapUnique(new VpxDecoder(codec));
  decoder->shown_ = av_frame_alloc();
  if (decoder->shown_ == nullptr) return absl::ResourceExhaustedError("no memory for a video decoder");
  if (absl::Status status = decoder->Begin(); !status.ok()) return status;
  return decoder;
}

VpxDecoder::~VpxDecoder() {
  vpx_codec_destroy(&decoder_);  // one that was not opened: no-op
  av_frame_free(&shown_);
}

absl::Status VpxDecoder::Begin() {
  vpx_codec_destroy(&decoder_);
  decoder_ = {};
  const vpx_codec_dec_cfg_t config = {.threads = 1};
  vpx_codec_iface_t* kind = codec_ == VideoCodec::kVp8 ? vpx_codec_vp8_dx() : vpx_codec_vp9_dx();
  const vpx_codec_err_t error = vpx_codec_dec_init(&decoder_, kind, &config, 0);
  if (error == VPX_CODEC_MEM_ERROR) return absl::ResourceExhaustedError("no memory for a video decoder");
  if (error != VPX_CODEC_OK) {
    return absl::InternalError(absl::StrCat("libvpx's ", CodecName(codec_),
                                            " decoder does not open: ", vpx_codec_err_to_string(error)));
  }
  spent_ = false;
  return absl::OkStatus();
}

absl::Status VpxDecoder::Damaged(vpx_codec_err_t error) {
  const char* text = vpx_codec_error_detail(&decoder_);
  const std::string detail = text == nullptr ? vpx_codec_err_to_string(error) : text;
  // VP9's tiles begin with a bit that is 0; one that does not is told in these words, with the code for
  // memory.
  if (detail.find("bool decoder") != std::string::npos)
    return absl::InvalidArgumentError("damaged picture: a tile does not begin as tiles do");
  // -1: of VP8, for a key frame of another size.
  if (error == VPX_CODEC_MEM_ERROR || static_cast<int>(error) == -1)
    return absl::ResourceExhaustedError("no memory for the picture");
  return absl::InvalidArgumentError(absl::StrCat("damaged picture: ", detail));
}

absl::StatusOr<const AVFrame*> VpxDecoder::Decode(const std::vector<std::string_view>& pieces,
                                                  bool /*spare*/) {
  std::string joined;
  std::string_view data;
  if (pieces.size() == 1) {
    data = pieces.front();
  } else {
    for (const std::string_view piece : pieces) joined += piece;
    data = joined;
  }
  if (data.empty() || data.size() > INT_MAX / 2)
    return absl::InvalidArgumentError("a frame without a byte, or of over a gigabyte");
  if (spent_) {
    if (absl::Status status = Begin(); !status.ok()) return status;
  }
  spent_ = true;
  const vpx_codec_err_t error = vpx_codec_decode(&decoder_, reinterpret_cast<const uint8_t*>(data.data()),
                                                 static_cast<unsigned>(data.size()), nullptr, 0);
  if (error != VPX_CODEC_OK) return Damaged(error);
  // Of a VP9 frame that is an error.
  int corrupted = 0;
  if (codec_ == VideoCodec::kVp8 &&
      (vpx_codec_control(&decoder_, VP8D_GET_FRAME_CORRUPTED, &corrupted) != VPX_CODEC_OK || corrupted != 0))
    return absl::InvalidArgumentError("damaged picture: the last of its data are missing");
  spent_ = false;
  vpx_codec_iter_t next = nullptr;
  const vpx_image_t* image = vpx_codec_get_frame(&decoder_, &next);
  if (image == nullptr) return nullptr;
  av_frame_unref(shown_);
  shown_->width = static_cast<int>(image->d_w);
  shown_->height = static_cast<int>(image->d_h);
  shown_->format = PixelFormat(*image);
  if (shown_->format == AV_PIX_FMT_NONE)
    return absl::InvalidArgumentError("a pixel format that is not taken");
  shown_->colorspace = ColorSpace(image->cs);
  shown_->color_range = image->range == VPX_CR_FULL_RANGE ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  for (int plane = 0; plane < 3; ++plane) {
    shown_->data[plane] = image->planes[plane];
    shown_->linesize[plane] = image->stride[plane];
  }
  return shown_;
}

}  // namespace parley::streaming

#include "streaming/video/video_decoder.h"

#include <climits>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/video/ffmpeg_log.h"
#include "streaming/video/picture_header.h"

extern "C" {
#include <libavcodec/avcodec.h>
}

namespace parley::streaming {
namespace {

AVCodecID CodecId(VideoCodec codec) {
  switch (codec) {
    case VideoCodec::kJpeg:
      return AV_CODEC_ID_MJPEG;
    case VideoCodec::kPng:
      return AV_CODEC_ID_PNG;
    case VideoCodec::kWebp:
      return AV_CODEC_ID_WEBP;
    case VideoCodec::kH264:
      return AV_CODEC_ID_H264;
    case VideoCodec::kVp8:
      return AV_CODEC_ID_VP8;
    case VideoCodec::kVp9:
      return AV_CODEC_ID_VP9;
  }
  return AV_CODEC_ID_NONE;
}

absl::Status Damaged(int error, const FfmpegLog& log) {
  if (error == AVERROR(ENOMEM)) return absl::ResourceExhaustedError("no memory for the picture");
  char text[AV_ERROR_MAX_STRING_SIZE] = "";
  if (log.first_error().empty()) av_strerror(error, text, sizeof(text));
  return absl::InvalidArgumentError(absl::StrCat("damaged picture: ", log.first_error(), text));
}

}  // namespace

absl::StatusOr<std::unique_ptr<VideoDecoder>> VideoDecoder::Open(VideoCodec codec, int64_t max_pixels) {
  FfmpegLog log;
  const AVCodec* found = avcodec_find_decoder(CodecId(codec));
  if (found == nullptr)
    return absl::UnimplementedError(absl::StrCat("this FFmpeg has no ", CodecName(codec)));
  std::unique_ptr<VideoDecoder> decoder(new VideoDecoder);
  decoder->context_ = avcodec_alloc_context3(found);
  decoder->packet_ = av_packet_alloc();
  decoder->shown_ = av_frame_alloc();
  decoder->incoming_ = av_frame_alloc();
  AVCodecContext* context = decoder->context_;
  if (context == nullptr || !decoder->packet_ || !decoder->shown_ || !decoder->incoming_) {
    return absl::ResourceExhaustedError("no memory for a video decoder");
  }
  context->thread_count = 1;
  context->flags |= AV_CODEC_FLAG_LOW_DELAY;
  // FFmpeg counts rows padded to 64 pixels.
  constexpr int64_t kMaxPadding = int64_t{64} * 65'536;
  context->max_pixels = max_pixels + kMaxPadding;
  // A damaged picture is an error, not something that the model should look at.
  context->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER;
  context->error_concealment = 0;
  if (const int error = avcodec_open2(context, found, nullptr); error < 0) {
    return absl::InternalError(
        absl::StrCat("FFmpeg's ", CodecName(codec), " decoder does not open: ", error));
  }
  return decoder;
}

VideoDecoder::~VideoDecoder() {
  av_frame_free(&incoming_);
  av_frame_free(&shown_);
  av_packet_free(&packet_);
  avcodec_free_context(&context_);
}

absl::StatusOr<const AVFrame*> VideoDecoder::Decode(const std::vector<std::string_view>& pieces, bool want) {
  size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  if (size > INT_MAX / 2) return absl::InvalidArgumentError("a frame of over a gigabyte");
  av_frame_unref(shown_);
  // Decoders read past the end: the copy has zeros there.
  if (av_new_packet(packet_, static_cast<int>(size)) < 0)
    return absl::ResourceExhaustedError("no memory for a frame");
  uint8_t* to = packet_->data;
  for (const std::string_view piece : pieces) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }

  FfmpegLog log;
  // With reordering the picture that comes out is an earlier one, which may be wanted.
  const bool spare = !want && context_->has_b_frames == 0;
  context_->skip_frame = spare ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
  int error = avcodec_send_packet(context_, packet_);
  av_packet_unref(packet_);
  bool damaged = false;
  while (error >= 0) {
    error = avcodec_receive_frame(context_, incoming_);
    if (error < 0) break;
    damaged |= incoming_->decode_error_flags != 0 || (incoming_->flags & AV_FRAME_FLAG_CORRUPT) != 0;
    std::swap(shown_, incoming_);
    av_frame_unref(incoming_);
  }
  if (error == AVERROR(EAGAIN)) error = damaged ? AVERROR_INVALIDDATA : 0;
  if (error < 0) {
    av_frame_unref(shown_);
    return Damaged(error, log);
  }
  return shown_->buf[0] == nullptr ? nullptr : shown_;
}

void VideoDecoder::Reset() {
  FfmpegLog log;
  avcodec_flush_buffers(context_);
}

}  // namespace parley::streaming

#include "clients/cpp/media/video_track.h"

extern "C" {
#include <libavutil/display.h>
}

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::client::media {
namespace {

constexpr int kMaxStillSide = 768;
constexpr int kJpegQuality = 4;  // FFmpeg's scale, 2 (best) to 31

// Clockwise quarter turns that bring the picture upright, from the container's display matrix.
uint32_t RotationOf(AVStream& stream) {
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
  const AVPacketSideData* side = av_packet_side_data_get(
      stream.codecpar->coded_side_data, stream.codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  const uint8_t* matrix = side == nullptr || side->size < 9 * sizeof(int32_t) ? nullptr : side->data;
#else
  size_t size = 0;
  const uint8_t* matrix = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (size < 9 * sizeof(int32_t)) matrix = nullptr;
#endif
  if (matrix == nullptr) return 0;
  // av_display_rotation_get gives the anticlockwise angle of the matrix itself, which undoes the camera's.
  const double clockwise = -av_display_rotation_get(reinterpret_cast<const int32_t*>(matrix));
  if (std::isnan(clockwise)) return 0;
  const int quarters = static_cast<int>(std::lround(clockwise / 90));
  return static_cast<uint32_t>((quarters % 4 + 4) % 4) * 90;
}

}  // namespace

absl::StatusOr<std::unique_ptr<VideoTrack>> VideoTrack::Open(AVStream& stream, absl::Duration start,
                                                             double stills_per_second, Emit emit) {
  std::unique_ptr<VideoTrack> track(new VideoTrack);
  track->time_base_ = stream.time_base;
  track->start_ = start;
  track->still_interval_ = absl::Seconds(1 / stills_per_second);
  track->rotation_degrees_ = RotationOf(stream);
  track->emit_ = std::move(emit);
  track->packet_.reset(av_packet_alloc());

  switch (stream.codecpar->codec_id) {
    case AV_CODEC_ID_VP8:
      track->codec_ = v1::VideoFormat::VP8;
      return track;
    case AV_CODEC_ID_VP9:
      track->codec_ = v1::VideoFormat::VP9;
      return track;
    case AV_CODEC_ID_H264: {
      track->codec_ = v1::VideoFormat::H264;
      AVBSFContext* filter = nullptr;
      int error = av_bsf_alloc(av_bsf_get_by_name("h264_mp4toannexb"), &filter);
      track->annex_b_.reset(filter);
      if (error >= 0) error = avcodec_parameters_copy(filter->par_in, stream.codecpar);
      if (error >= 0) {
        filter->time_base_in = stream.time_base;
        error = av_bsf_init(filter);
      }
      if (error < 0) return absl::InvalidArgumentError(absl::StrCat("H.264: ", AvError(error)));
      return track;
    }
    default:
      break;
  }

  const AVCodec* decoder = avcodec_find_decoder(stream.codecpar->codec_id);
  if (decoder == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("no decoder for the video codec ", avcodec_get_name(stream.codecpar->codec_id)));
  }
  track->decoder_.reset(avcodec_alloc_context3(decoder));
  int error = avcodec_parameters_to_context(track->decoder_.get(), stream.codecpar);
  if (error >= 0) {
    track->decoder_->pkt_timebase = stream.time_base;
    error = avcodec_open2(track->decoder_.get(), decoder, nullptr);
  }
  if (error < 0) return absl::InvalidArgumentError(absl::StrCat("video decoder: ", AvError(error)));
  track->frame_.reset(av_frame_alloc());
  track->scaled_.reset(av_frame_alloc());
  return track;
}

absl::Duration VideoTrack::Time(int64_t time_stamp) const {
  if (time_stamp == AV_NOPTS_VALUE) return last_time_;
  return std::max(absl::ZeroDuration(),
                  absl::Microseconds(av_rescale_q(time_stamp, time_base_, {1, 1'000'000})) - start_);
}

absl::Status VideoTrack::Push(const AVPacket* packet) {
  return decoder_ == nullptr ? Pass(packet) : Decode(packet);
}

absl::Status VideoTrack::Pass(const AVPacket* packet) {
  const auto emit = [this](const AVPacket& frame) {
    if (frame.size == 0) return;
    Item item;
    item.kind = Item::Kind::kVideo;
    item.data.assign(reinterpret_cast<const char*>(frame.data), frame.size);
    item.captured = Time(frame.pts);
    // Frames go out in decoding order: one that is shown later is due when its turn to be decoded comes.
    item.due = std::max(last_time_, Time(frame.dts == AV_NOPTS_VALUE ? frame.pts : frame.dts));
    last_time_ = item.due;
    item.rotation_degrees = rotation_degrees_;
    emit_(std::move(item));
  };
  if (annex_b_ == nullptr) {
    if (packet != nullptr) emit(*packet);
    return absl::OkStatus();
  }
  if (packet != nullptr && av_packet_ref(packet_.get(), packet) < 0)
    return absl::ResourceExhaustedError("memory");
  // A damaged packet is dropped here; the decoder at the other end waits for the next key frame.
  if (av_bsf_send_packet(annex_b_.get(), packet == nullptr ? nullptr : packet_.get()) < 0) {
    av_packet_unref(packet_.get());
  }
  while (av_bsf_receive_packet(annex_b_.get(), packet_.get()) >= 0) {
    emit(*packet_);
    av_packet_unref(packet_.get());
  }
  return absl::OkStatus();
}

absl::Status VideoTrack::Decode(const AVPacket* packet) {
  if (int error = avcodec_send_packet(decoder_.get(), packet); error < 0 && error != AVERROR_INVALIDDATA) {
    return absl::InternalError(absl::StrCat("video decoder: ", AvError(error)));
  }
  while (true) {
    const int error = avcodec_receive_frame(decoder_.get(), frame_.get());
    if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) return absl::OkStatus();
    if (error == AVERROR_INVALIDDATA) continue;
    if (error < 0) return absl::InternalError(absl::StrCat("video decoder: ", AvError(error)));
    const absl::Duration at = Time(frame_->best_effort_timestamp);
    absl::Status status;
    if (!last_still_.has_value() || at >= *last_still_ + still_interval_) {
      last_still_ = at;
      last_time_ = at;
      status = EmitStill(*frame_);
    }
    av_frame_unref(frame_.get());
    if (!status.ok()) return status;
  }
}

absl::Status VideoTrack::EmitStill(const AVFrame& frame) {
  if (frame.width != input_width_ || frame.height != input_height_ || frame.format != input_format_) {
    const double shrink = std::min(1.0, double{kMaxStillSide} / std::max(frame.width, frame.height));
    // 4:2:0 chroma wants even sides.
    const int width = std::max(2, static_cast<int>(frame.width * shrink) / 2 * 2);
    const int height = std::max(2, static_cast<int>(frame.height * shrink) / 2 * 2);
    scaler_.reset(sws_getContext(frame.width, frame.height, static_cast<AVPixelFormat>(frame.format), width,
                                 height, AV_PIX_FMT_YUVJ420P, SWS_AREA, nullptr, nullptr, nullptr));
    if (scaler_ == nullptr) return absl::InternalError("the pictures cannot be scaled");
    av_frame_unref(scaled_.get());
    scaled_->width = width;
    scaled_->height = height;
    scaled_->format = AV_PIX_FMT_YUVJ420P;
    const AVCodec* jpeg = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
    if (jpeg == nullptr) return absl::UnimplementedError("this FFmpeg has no JPEG encoder");
    encoder_.reset(avcodec_alloc_context3(jpeg));
    encoder_->width = width;
    encoder_->height = height;
    encoder_->pix_fmt = AV_PIX_FMT_YUVJ420P;
    encoder_->time_base = {1, 1'000};
    encoder_->flags |= AV_CODEC_FLAG_QSCALE;
    encoder_->global_quality = FF_QP2LAMBDA * kJpegQuality;
    int error = av_frame_get_buffer(scaled_.get(), 0);
    if (error >= 0) error = avcodec_open2(encoder_.get(), jpeg, nullptr);
    if (error < 0) return absl::InternalError(absl::StrCat("JPEG encoder: ", AvError(error)));
    input_width_ = frame.width;
    input_height_ = frame.height;
    input_format_ = frame.format;
  }
  int error = av_frame_make_writable(scaled_.get());
  if (error >= 0) {
    sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, scaled_->data, scaled_->linesize);
    scaled_->pts = absl::ToInt64Milliseconds(*last_still_);
    scaled_->quality = encoder_->global_quality;
    error = avcodec_send_frame(encoder_.get(), scaled_.get());
  }
  if (error >= 0) error = avcodec_receive_packet(encoder_.get(), packet_.get());
  if (error < 0) return absl::InternalError(absl::StrCat("JPEG encoder: ", AvError(error)));
  Item item;
  item.kind = Item::Kind::kVideo;
  item.data.assign(reinterpret_cast<const char*>(packet_->data), packet_->size);
  item.captured = item.due = *last_still_;
  item.rotation_degrees = rotation_degrees_;
  av_packet_unref(packet_.get());
  emit_(std::move(item));
  return absl::OkStatus();
}

}  // namespace parley::client::media

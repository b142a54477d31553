#include "clients/cpp/media/audio_track.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "opus/opus.h"

namespace parley::client::media {
namespace {

constexpr int kBitsPerSecond = 32'000;
constexpr int kMaxPacketBytes = 1'500;
// Time stamps of real files jitter by less than this; a larger gap is silence that was not recorded.
constexpr int64_t kJitterSamples = kSampleRateHz / 20;
// A longer gap is taken for a broken time stamp.
constexpr int64_t kMaxGapSamples = int64_t{kSampleRateHz} * 600;

static_assert(std::endian::native == std::endian::little, "PCM16 goes out as it lies in memory");

absl::Duration SampleTime(uint64_t samples) {
  return absl::Microseconds(samples * 1'000'000 / kSampleRateHz);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AudioTrack>> AudioTrack::Open(const AVStream& stream, absl::Duration start,
                                                             AudioCodec codec, Emit emit) {
  std::unique_ptr<AudioTrack> track(new AudioTrack);
  track->time_base_ = stream.time_base;
  track->start_ = start;
  track->codec_ = codec;
  track->emit_ = std::move(emit);
  track->frame_.reset(av_frame_alloc());

  const AVCodec* decoder = avcodec_find_decoder(stream.codecpar->codec_id);
  if (decoder == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("no decoder for the audio codec ", avcodec_get_name(stream.codecpar->codec_id)));
  }
  track->decoder_.reset(avcodec_alloc_context3(decoder));
  int error = avcodec_parameters_to_context(track->decoder_.get(), stream.codecpar);
  if (error >= 0) {
    track->decoder_->pkt_timebase = stream.time_base;
    error = avcodec_open2(track->decoder_.get(), decoder, nullptr);
  }
  if (error < 0) return absl::InvalidArgumentError(absl::StrCat("audio decoder: ", AvError(error)));

  if (codec == AudioCodec::kOpus) {
    int opus_error = OPUS_OK;
    track->encoder_ = opus_encoder_create(kSampleRateHz, 1, OPUS_APPLICATION_VOIP, &opus_error);
    if (opus_error != OPUS_OK) return absl::InternalError(absl::StrCat("Opus: ", opus_strerror(opus_error)));
    opus_encoder_ctl(track->encoder_, OPUS_SET_BITRATE(kBitsPerSecond));
  }
  return track;
}

AudioTrack::~AudioTrack() {
  if (encoder_ != nullptr) opus_encoder_destroy(encoder_);
}

absl::Status AudioTrack::Push(const AVPacket* packet) {
  if (int error = avcodec_send_packet(decoder_.get(), packet); error < 0 && error != AVERROR_INVALIDDATA) {
    return absl::InternalError(absl::StrCat("audio decoder: ", AvError(error)));
  }
  while (true) {
    const int error = avcodec_receive_frame(decoder_.get(), frame_.get());
    if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) break;
    if (error == AVERROR_INVALIDDATA) continue;
    if (error < 0) return absl::InternalError(absl::StrCat("audio decoder: ", AvError(error)));
    absl::Status status = Resample(frame_.get());
    av_frame_unref(frame_.get());
    if (!status.ok()) return status;
  }
  if (packet != nullptr) return EmitChunks(/*last=*/false);
  if (resampler_ != nullptr) {
    if (absl::Status status = Resample(nullptr); !status.ok()) return status;
  }
  return EmitChunks(/*last=*/true);
}

absl::Status AudioTrack::Resample(const AVFrame* frame) {
  if (frame != nullptr && (frame->format != input_format_ || frame->sample_rate != input_rate_hz_ ||
                           frame->ch_layout.nb_channels != input_channels_)) {
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    AVChannelLayout input;
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) {
      av_channel_layout_default(&input, frame->ch_layout.nb_channels);
    } else {
      input = frame->ch_layout;
    }
    SwrContext* resampler = nullptr;
    int error =
        swr_alloc_set_opts2(&resampler, &mono, AV_SAMPLE_FMT_S16, kSampleRateHz, &input,
                            static_cast<AVSampleFormat>(frame->format), frame->sample_rate, 0, nullptr);
    resampler_.reset(resampler);
    if (error >= 0) error = swr_init(resampler);
    if (error < 0) return absl::InternalError(absl::StrCat("resampler: ", AvError(error)));
    input_format_ = frame->format;
    input_rate_hz_ = frame->sample_rate;
    input_channels_ = frame->ch_layout.nb_channels;
  }

  if (frame != nullptr && frame->pts != AV_NOPTS_VALUE) {
    const absl::Duration at =
        absl::Microseconds(av_rescale_q(frame->pts, time_base_, {1, 1'000'000})) - start_;
    const int64_t expected = absl::ToInt64Microseconds(at) * kSampleRateHz / 1'000'000;
    const int64_t have = static_cast<int64_t>(emitted_samples_ + samples_.size()) +
                         swr_get_delay(resampler_.get(), kSampleRateHz);
    const int64_t gap = expected - have;
    if (gap > kJitterSamples && gap < kMaxGapSamples) samples_.resize(samples_.size() + gap);
  }

  const int input_samples = frame == nullptr ? 0 : frame->nb_samples;
  const int room = swr_get_out_samples(resampler_.get(), input_samples);
  if (room <= 0) return absl::OkStatus();
  const size_t before = samples_.size();
  samples_.resize(before + room);
  uint8_t* out = reinterpret_cast<uint8_t*>(samples_.data() + before);
  const int made = swr_convert(resampler_.get(), &out, room,
                               frame == nullptr ? nullptr : const_cast<const uint8_t**>(frame->extended_data),
                               input_samples);
  samples_.resize(before + std::max(made, 0));
  if (made < 0) return absl::InternalError(absl::StrCat("resampler: ", AvError(made)));
  return absl::OkStatus();
}

absl::Status AudioTrack::EmitChunks(bool last) {
  if (last && samples_.size() % kChunkSamples != 0) {
    samples_.resize((samples_.size() / kChunkSamples + 1) * kChunkSamples);
  }
  size_t used = 0;
  for (; samples_.size() - used >= kChunkSamples; used += kChunkSamples) {
    const int16_t* chunk = samples_.data() + used;
    Item item;
    item.kind = Item::Kind::kAudio;
    item.first_sample_index = emitted_samples_;
    emitted_samples_ += kChunkSamples;
    // A microphone has a chunk when its last sample has come.
    item.captured = item.due = SampleTime(emitted_samples_);
    if (codec_ == AudioCodec::kOpus) {
      item.data.resize(kMaxPacketBytes);
      const int bytes = opus_encode(encoder_, chunk, kChunkSamples,
                                    reinterpret_cast<unsigned char*>(item.data.data()), kMaxPacketBytes);
      if (bytes < 0) return absl::InternalError(absl::StrCat("Opus: ", opus_strerror(bytes)));
      item.data.resize(bytes);
    } else {
      item.data.assign(reinterpret_cast<const char*>(chunk), kChunkSamples * sizeof(int16_t));
    }
    emit_(std::move(item));
  }
  samples_.erase(samples_.begin(), samples_.begin() + used);
  return absl::OkStatus();
}

}  // namespace parley::client::media

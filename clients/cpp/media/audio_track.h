// Sound of any kind in, 20 ms chunks of 48 kHz mono out, as Opus packets or PCM16.
//
// The chunks' sample indices follow the media's own time stamps: where those leave a gap, silence is put in,
// so that sound and picture stay together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/media/ffmpeg.h"
#include "clients/cpp/media/item.h"

struct OpusEncoder;

namespace parley::client::media {

// One thread.
class AudioTrack {
 public:
  using Emit = std::function<void(Item)>;

  // `start`: the media's time stamp that counts as 0.
  static absl::StatusOr<std::unique_ptr<AudioTrack>> Open(const AVStream& stream, absl::Duration start,
                                                          AudioCodec codec, Emit emit);
  ~AudioTrack();

  // A packet of the stream; null at the end, which pads the last chunk with silence. Damaged packets are left
  // out and heard as silence.
  absl::Status Push(const AVPacket* packet);

 private:
  AudioTrack() = default;
  absl::Status Resample(const AVFrame* frame);
  absl::Status EmitChunks(bool last);

  AVRational time_base_{};
  absl::Duration start_;
  AudioCodec codec_ = AudioCodec::kOpus;
  Emit emit_;
  CodecPtr decoder_;
  SwrPtr resampler_;
  int input_format_ = -1, input_rate_hz_ = 0, input_channels_ = 0;  // what resampler_ was made for
  FramePtr frame_;
  OpusEncoder* encoder_ = nullptr;
  std::vector<int16_t> samples_;  // not yet emitted; fewer than a chunk between pushes
  uint64_t emitted_samples_ = 0;
};

}  // namespace parley::client::media

// PCM16 (signed, little-endian, interleaved) of any whole rate, one or two channels.
#pragma once

#include <memory>
#include <vector>

#include "streaming/audio/audio_input.h"
#include "streaming/audio/resampler.h"
#include "streaming/audio/sample_clock.h"

namespace parley::streaming {

class PcmInput : public AudioInput {
 public:
  static absl::StatusOr<std::unique_ptr<AudioInput>> Create(const AudioFormat& format,
                                                            uint64_t max_gap_samples);

  absl::StatusOr<AudioSamples> Push(std::string_view data, uint64_t first_sample_index) override;
  AudioSamples Flush() override;
  bool dtx() const override { return format_.dtx; }
  uint64_t ToWireIndex(int64_t sample) const override;

 private:
  PcmInput(const AudioFormat& format, uint64_t max_gap_samples, std::unique_ptr<Resampler> resampler)
      : format_(format), clock_(max_gap_samples), resampler_(std::move(resampler)) {}

  const AudioFormat format_;
  SampleClock clock_;  // at the declared rate
  std::unique_ptr<Resampler> resampler_;
  int64_t next_output_ = 0;  // index at kSampleRateHz of the sample that comes out next
  std::vector<float> mono_;  // scratch: the chunk at its own rate
};

}  // namespace parley::streaming

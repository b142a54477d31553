// Opus packets (RFC 6716), decoded by libopus at engine::kSampleRateHz, mono.
#pragma once

#include <memory>

#include "streaming/audio/audio_input.h"
#include "streaming/audio/sample_clock.h"

struct OpusDecoder;

namespace parley::streaming {

class OpusInput : public AudioInput {
 public:
  static constexpr int kWireRateHz = 48'000;

  static absl::StatusOr<std::unique_ptr<AudioInput>> Create(const AudioFormat& format,
                                                            uint64_t max_gap_samples);
  ~OpusInput() override;

  absl::StatusOr<AudioSamples> Push(std::string_view data, uint64_t first_sample_index) override;
  AudioSamples Flush() override;
  bool dtx() const override { return dtx_; }
  uint64_t ToWireIndex(int64_t sample) const override;

 private:
  OpusInput(OpusDecoder* decoder, const AudioFormat& format, uint64_t max_gap_samples)
      : decoder_(decoder), clock_(max_gap_samples), dtx_(format.dtx) {}

  // Appends `count` samples for lost packets: the last one from the FEC data of `next_packet` where it
  // carries some, the rest by concealment. Both come in steps of 2.5 ms; what is left over is silence.
  absl::Status Conceal(std::string_view next_packet, size_t count, std::vector<float>* output);
  absl::Status Decode(std::string_view packet, std::vector<float>* output);

  OpusDecoder* const decoder_;
  SampleClock clock_;        // at kWireRateHz
  bool dtx_;                 // declared, or a packet without sound was seen
  int64_t next_output_ = 0;  // index at kSampleRateHz of the sample that comes out next
};

}  // namespace parley::streaming

// Log-mel spectrogram as Whisper computes it (openai/whisper, audio.py): Hann windows of 25 ms every 10 ms,
// power, Slaney's mel filters from 0 to 8 kHz, log10 over eight decades, scaled to about [-1, 1].
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/types/span.h"

namespace parley::engine {

// Immutable, thread-safe.
class LogMel {
 public:
  static constexpr int kWindowSamples = 400;
  static constexpr int kHopSamples = 160;

  explicit LogMel(int mel_bins);

  // samples: at kSampleRateHz, more than kWindowSamples / 2 (REQUIRED: the ends are mirrored by as much).
  // The result is [mel_bins, samples / kHopSamples], fp32.
  at::Tensor Compute(absl::Span<const float> samples) const;
  // The same as plain memory.
  std::vector<float> operator()(absl::Span<const float> samples) const;

 private:
  at::Tensor window_;   // [kWindowSamples], fp64
  at::Tensor filters_;  // [kWindowSamples / 2 + 1, mel_bins], fp64
};

}  // namespace parley::engine

// Log-mel spectrogram as Whisper computes it (openai/whisper, audio.py): Hann windows of 25 ms every 10 ms,
// power, Slaney's mel filters from 0 to 8 kHz, log10 over eight decades, scaled to about [-1, 1].
//
// The Fourier transform is four dense products, fp32: by the symmetries of real signals and of the window 400
// samples are 100 sums and 100 differences for each half of the spectrum. At this length that is faster than
// a transform in log steps.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/kernels/float_linear.h"

namespace parley::engine::cpu {

// Immutable, thread-safe.
class LogMel {
 public:
  static constexpr int kWindowSamples = 400;
  static constexpr int kHopSamples = 160;

  explicit LogMel(int mel_bins);

  // samples: at kSampleRateHz, more than kWindowSamples / 2 (REQUIRED: the ends are mirrored by as much).
  static int Frames(absl::Span<const float> samples) {
    return static_cast<int>(samples.size()) / kHopSamples;
  }
  // log10 of the mel power of frames [begin, end), each to rows + frame * stride: [mel_bins]. Returns the
  // largest.
  float Logs(absl::Span<const float> samples, int begin, int end, int64_t stride, float* rows) const;
  // Makes of such rows what Whisper takes. `largest`: of all frames of the samples.
  void Scale(float largest, int begin, int end, int64_t stride, float* rows) const;
  // Both: [frames, mel_bins].
  std::vector<float> Compute(absl::Span<const float> samples) const;

 private:
  // A mel filter's weights of the bins from `first` on.
  struct Filter {
    int first = 0;
    std::vector<float> weights;
  };

  const int mel_bins_;
  // Cosines of the samples at even and odd places, sines likewise; the window is in them.
  kernels::FloatLinear even_cosines_, odd_cosines_, even_sines_, odd_sines_;
  std::vector<Filter> filters_;
};

}  // namespace parley::engine::cpu

#include "engine/cpu/whisper/log_mel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/api/media.h"

namespace parley::engine::cpu {
namespace {

constexpr int kHalf = LogMel::kWindowSamples / 2;  // the bins are 0 .. kHalf
constexpr int kQuarter = kHalf / 2;
constexpr int kFramesAtOnce = 24;  // whole blocks of the dense kernels

// Slaney's scale: linear below 1 kHz, logarithmic above.
double HzToMel(double hz) { return hz < 1000 ? hz * 3 / 200 : 15 + std::log(hz / 1000) * 27 / std::log(6.4); }
double MelToHz(double mel) {
  return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27);
}

// Of the places n = first, first + 2, ... <= kHalf: for each bin 0 .. kQuarter what a sample at n adds to it.
kernels::FloatLinear Waves(int first, double (*wave)(double)) {
  std::vector<float> weights;
  for (int bin = 0; bin <= kQuarter; ++bin) {
    for (int n = first; n < first + kHalf; n += 2) {
      const double turn = 2 * std::numbers::pi * n / LogMel::kWindowSamples;
      weights.push_back(static_cast<float>((0.5 - 0.5 * std::cos(turn)) * wave(turn * bin)));
    }
  }
  return kernels::FloatLinear(weights, {}, kQuarter + 1, kQuarter);
}

// x[i] where the ends are mirrored.
float At(absl::Span<const float> x, int64_t i) {
  const auto size = static_cast<int64_t>(x.size());
  if (i < 0) i = -i;
  if (i >= size) i = 2 * (size - 1) - i;
  return x[i];
}

}  // namespace

LogMel::LogMel(int mel_bins)
    : mel_bins_(mel_bins),
      even_cosines_(Waves(2, std::cos)),
      odd_cosines_(Waves(1, std::cos)),
      even_sines_(Waves(2, std::sin)),
      odd_sines_(Waves(1, std::sin)) {
  // Triangles of equal area.
  const double highest = HzToMel(kSampleRateHz / 2.0);
  const auto corner = [&](int i) { return MelToHz(highest * i / (mel_bins + 1)); };
  for (int mel = 0; mel < mel_bins; ++mel) {
    const double left = corner(mel), middle = corner(mel + 1), right = corner(mel + 2);
    Filter& filter = filters_.emplace_back();
    for (int bin = 0; bin <= kHalf; ++bin) {
      const double hz = static_cast<double>(kSampleRateHz) / kWindowSamples * bin;
      const double rise = (hz - left) / (middle - left), fall = (right - hz) / (right - middle);
      const double weight = std::min(rise, fall) * 2 / (right - left);
      if (weight <= 0) continue;
      if (filter.weights.empty()) filter.first = bin;
      filter.weights.push_back(static_cast<float>(weight));
    }
  }
}

float LogMel::Logs(absl::Span<const float> samples, int begin, int end, int64_t stride, float* rows) const {
  constexpr int kInputs = kQuarter;
  const int outputs = even_cosines_.stride();
  // Sums and differences of the samples that lie as far before a window's middle as after it.
  std::vector<float> folded(static_cast<size_t>(4) * kFramesAtOnce * kInputs);
  std::vector<float> waves(static_cast<size_t>(4) * kFramesAtOnce * outputs);
  float power[kHalf + 1];
  float largest = -std::numeric_limits<float>::infinity();
  for (int first = begin; first < end; first += kFramesAtOnce) {
    const int count = std::min(kFramesAtOnce, end - first);
    for (int f = 0; f < count; ++f) {
      const int64_t start = static_cast<int64_t>(first + f) * kHopSamples - kHalf;
      float frame[kWindowSamples];
      if (start >= 0 && start + kWindowSamples <= static_cast<int64_t>(samples.size())) {
        std::copy_n(samples.data() + start, kWindowSamples, frame);
      } else {
        for (int n = 0; n < kWindowSamples; ++n) frame[n] = At(samples, start + n);
      }
      float* const to = folded.data() + static_cast<int64_t>(f) * kInputs;
      constexpr int64_t kNext = static_cast<int64_t>(kFramesAtOnce) * kInputs;
      for (int i = 0; i < kInputs; ++i) {
        const int even = 2 * i + 2, odd = 2 * i + 1;
        // The middle sample stands alone.
        to[i] = frame[even] + (even < kHalf ? frame[kWindowSamples - even] : 0);
        to[kNext + i] = frame[odd] + frame[kWindowSamples - odd];
        to[2 * kNext + i] = even < kHalf ? frame[even] - frame[kWindowSamples - even] : 0;
        to[3 * kNext + i] = frame[odd] - frame[kWindowSamples - odd];
      }
    }
    const kernels::FloatLinear* const parts[] = {&even_cosines_, &odd_cosines_, &even_sines_, &odd_sines_};
    for (int part = 0; part < 4; ++part) {
      parts[part]->Apply(folded.data() + static_cast<int64_t>(part) * kFramesAtOnce * kInputs, count,
                         waves.data() + static_cast<int64_t>(part) * kFramesAtOnce * outputs);
    }
    for (int f = 0; f < count; ++f) {
      const float* const even_cosine = waves.data() + static_cast<int64_t>(f) * outputs;
      const float* const odd_cosine = even_cosine + static_cast<int64_t>(kFramesAtOnce) * outputs;
      const float* const even_sine = odd_cosine + static_cast<int64_t>(kFramesAtOnce) * outputs;
      const float* const odd_sine = even_sine + static_cast<int64_t>(kFramesAtOnce) * outputs;
      for (int bin = 0; bin <= kQuarter; ++bin) {
        const float real = even_cosine[bin] + odd_cosine[bin], imaginary = even_sine[bin] + odd_sine[bin];
        power[bin] = real * real + imaginary * imaginary;
      }
      // Bin kHalf - k turns by pi less k's angle at each place: the odd places' cosines and the even places'
      // sines change sign.
      for (int bin = 0; bin < kQuarter; ++bin) {
        const float real = even_cosine[bin] - odd_cosine[bin], imaginary = odd_sine[bin] - even_sine[bin];
        power[kHalf - bin] = real * real + imaginary * imaginary;
      }
      float* const row = rows + (first + f) * stride;
      for (int mel = 0; mel < mel_bins_; ++mel) {
        const Filter& filter = filters_[mel];
        float sum = 0;
        for (size_t i = 0; i < filter.weights.size(); ++i) sum += filter.weights[i] * power[filter.first + i];
        row[mel] = std::log10(std::max(sum, 1e-10f));
        largest = std::max(largest, row[mel]);
      }
    }
  }
  return largest;
}

void LogMel::Scale(float largest, int begin, int end, int64_t stride, float* rows) const {
  const float floor = largest - 8;
  for (int frame = begin; frame < end; ++frame) {
    float* const row = rows + frame * stride;
    for (int mel = 0; mel < mel_bins_; ++mel) row[mel] = (std::max(row[mel], floor) + 4) / 4;
  }
}

std::vector<float> LogMel::Compute(absl::Span<const float> samples) const {
  const int frames = Frames(samples);
  std::vector<float> rows(static_cast<size_t>(frames) * mel_bins_);
  const float largest = Logs(samples, 0, frames, mel_bins_, rows.data());
  Scale(largest, 0, frames, mel_bins_, rows.data());
  return rows;
}

}  // namespace parley::engine::cpu

#include "engine/torch/log_mel.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/fft_rfft.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/max.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "engine/api/media.h"

namespace parley::engine {
namespace {

constexpr int kBins = LogMel::kWindowSamples / 2 + 1;

// Slaney's scale: linear below 1 kHz, logarithmic above.
double HzToMel(double hz) { return hz < 1000 ? hz * 3 / 200 : 15 + std::log(hz / 1000) * 27 / std::log(6.4); }
double MelToHz(double mel) {
  return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27);
}

// Triangles of equal area, [kBins, mel_bins].
at::Tensor MelFilters(int mel_bins) {
  at::Tensor filters = at::zeros({kBins, mel_bins}, at::kDouble);
  auto values = filters.accessor<double, 2>();
  const double highest = HzToMel(kSampleRateHz / 2.0);
  const auto corner = [&](int i) { return MelToHz(highest * i / (mel_bins + 1)); };
  for (int mel = 0; mel < mel_bins; ++mel) {
    const double left = corner(mel), middle = corner(mel + 1), right = corner(mel + 2);
    for (int bin = 0; bin < kBins; ++bin) {
      const double hz = static_cast<double>(kSampleRateHz) / 2 * bin / (kBins - 1);
      const double rise = (hz - left) / (middle - left), fall = (right - hz) / (right - middle);
      values[bin][mel] = std::max(0.0, std::min(rise, fall)) * 2 / (right - left);
    }
  }
  return filters;
}

}  // namespace

LogMel::LogMel(int mel_bins)
    : window_(at::empty({kWindowSamples}, at::kDouble)), filters_(MelFilters(mel_bins)) {
  double* window = window_.data_ptr<double>();
  for (int i = 0; i < kWindowSamples; ++i) {
    window[i] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / kWindowSamples);
  }
}

at::Tensor LogMel::Compute(absl::Span<const float> samples) const {
  const int64_t count = static_cast<int64_t>(samples.size());
  constexpr int kMirrored = kWindowSamples / 2;
  // fp64: the quietest bins kept are eight decades of power below the loudest.
  std::vector<double> padded(count + 2 * kMirrored);
  std::copy(samples.begin(), samples.end(), padded.begin() + kMirrored);
  for (int i = 1; i <= kMirrored; ++i) {
    padded[kMirrored - i] = samples[i];
    padded[kMirrored + count - 1 + i] = samples[count - 1 - i];
  }
  const int64_t frames = count / kHopSamples;
  const at::Tensor windows =
      at::from_blob(padded.data(), {frames, kWindowSamples}, {kHopSamples, 1}, at::kDouble) * window_;
  const at::Tensor power = at::fft_rfft(windows).abs().square();                // [frames, kBins]
  const at::Tensor log = at::matmul(power, filters_).clamp_min(1e-10).log10();  // [frames, mel_bins]
  const at::Tensor floored = at::maximum(log, log.max() - 8.0);
  return ((floored + 4.0) / 4.0).t().contiguous().to(at::kFloat);
}

std::vector<float> LogMel::operator()(absl::Span<const float> samples) const {
  const c10::InferenceMode inference;
  // On one thread: the others would go on waiting busily, on the processors that whoever is next runs on.
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor log_mel = Compute(samples);
  at::set_num_threads(threads);
  const auto* const begin = log_mel.const_data_ptr<float>();
  return {begin, begin + log_mel.numel()};
}

}  // namespace parley::engine

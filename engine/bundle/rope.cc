#include "engine/bundle/rope.h"

#include <cmath>
#include <numbers>

namespace parley::engine::bundle {

std::vector<float> RopeFrequencies(double base, int head_dim) {
  std::vector<float> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    // In float where the reference implementations are in float: the exponent, the power, the division.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    frequencies[i] = 1.0f / std::pow(static_cast<float>(base), exponent);
  }
  return frequencies;
}

void ApplyLlama3Scaling(const Llama3Scaling& scaling, std::vector<float>& frequencies) {
  for (float& frequency : frequencies) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    const double turns = scaling.original_context / wavelength;
    const double kept = turns < scaling.low    ? 0
                        : turns > scaling.high ? 1
                                               : (turns - scaling.low) / (scaling.high - scaling.low);
    frequency = static_cast<float>((1 - kept) * frequency / scaling.factor + kept * frequency);
  }
}

}  // namespace parley::engine::bundle

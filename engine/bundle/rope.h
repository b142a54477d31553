// Rotary position embedding: the angle each pair of a head turns by a position.
#pragma once

#include <vector>

namespace parley::engine::bundle {

// RoFormer (arXiv 2104.09864): base^(-2i / head_dim), i in [0, head_dim / 2).
std::vector<float> RopeFrequencies(double base, int head_dim);

// Llama 3.1's scaling: wavelengths longer than original_context / low are slowed by `factor`, shorter ones
// than original_context / high are kept, in between it blends.
struct Llama3Scaling {
  double factor = 1;
  double low = 1;
  double high = 4;
  double original_context = 8192;
};
void ApplyLlama3Scaling(const Llama3Scaling& scaling, std::vector<float>& frequencies);

}  // namespace parley::engine::bundle

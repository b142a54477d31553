#include "engine/cpu/padded_width.h"

#include <cstddef>
#include <cstdint>

#include "engine/kernels/quantized_rows.h"

namespace parley::engine::cpu {
namespace {

constexpr int kHeadMultiple = 16;

int RoundUp(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

PaddedWidth PaddedWidth::Of(int width, int multiple) { return {1, width, RoundUp(width, multiple)}; }

int PaddedHeadDim(int heads, int head_dim) {
  const int padded = RoundUp(head_dim, kHeadMultiple);
  return heads * padded % kernels::kGroup == 0 ? padded : RoundUp(head_dim, kernels::kGroup);
}

PaddedWidth PaddedHeads(int heads, int head_dim, int padded_head_dim) {
  return {heads, head_dim, padded_head_dim};
}

PaddedWidth PaddedRotaryHeads(int heads, int head_dim, int padded_head_dim) {
  return {2 * heads, head_dim / 2, padded_head_dim / 2};
}

std::vector<float> Pad(std::vector<float> values, const PaddedWidth& width) {
  if (!width.is_padded()) return values;
  std::vector<float> padded(width.padded());
  for (int i = 0; i < width.size(); ++i) padded[width.Place(i)] = values[i];
  return padded;
}

std::vector<float> Pad(std::vector<float> matrix, const PaddedWidth& outputs, const PaddedWidth& inputs) {
  if (!outputs.is_padded() && !inputs.is_padded()) return matrix;
  std::vector<float> padded(static_cast<size_t>(outputs.padded()) * inputs.padded());
  const float* from = matrix.data();
  for (int output = 0; output < outputs.size(); ++output) {
    float* const row = padded.data() + static_cast<int64_t>(outputs.Place(output)) * inputs.padded();
    for (int input = 0; input < inputs.size(); ++input) row[inputs.Place(input)] = *from++;
  }
  return padded;
}

}  // namespace parley::engine::cpu

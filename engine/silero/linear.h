// A small dense layer in fp32: y[row][o] = bias[o] + sum_k x[row][k] * w[o][k].
//
// Sums run over k in order in every path and for every number of rows, so a row's result does not depend on
// the rows beside it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/kernels/aligned_buffer.h"

namespace parley::engine::silero {

inline constexpr int kTile = 16;  // outputs that are computed together

class Linear {
 public:
  Linear() = default;
  // weights: [outputs, inputs], bias: [outputs] or empty.
  Linear(absl::Span<const float> weights, absl::Span<const float> bias, int outputs, int inputs);

  int outputs() const { return outputs_; }
  int inputs() const { return inputs_; }
  // Floats from row to row of y: outputs rounded up to whole tiles, which are written too (as zeros).
  int stride() const { return (outputs_ + kTile - 1) / kTile * kTile; }
  // x: [rows, inputs]; y: [rows, stride()], on a 32-byte boundary not required.
  void Apply(const float* x, int rows, float* y) const;

 private:
  int outputs_ = 0;
  int inputs_ = 0;
  kernels::AlignedBuffer<float> packed_;  // [tiles][inputs][kTile]
  kernels::AlignedBuffer<float> bias_;    // [tiles * kTile]
};

}  // namespace parley::engine::silero

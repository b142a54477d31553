// A dense layer in fp32: y[row][o] = bias[o] + sum_k x[row][k] * w[o][k].
//
// Sums run over k in order in every path and for every number of rows, so a row's result does not depend on
// the rows beside it. Between instruction sets the last bits may differ: not all of them round once.
//
// Plain memory, no threads of its own: the caller splits rows among threads. Thread-safe where const.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/cpu_features.h"

namespace parley::engine::kernels {

class FloatLinear {
 public:
  FloatLinear() = default;
  // weights: [outputs, inputs], bias: [outputs] or empty.
  FloatLinear(absl::Span<const float> weights, absl::Span<const float> bias, int outputs, int inputs);

  int outputs() const { return outputs_; }
  int inputs() const { return inputs_; }
  // Floats from row to row of y: outputs rounded up to whole tiles, which are written too (as zeros).
  int stride() const { return (outputs_ + kTile - 1) / kTile * kTile; }

  // What becomes of each output.
  struct Bounds {
    float low = -std::numeric_limits<float>::infinity();
    float high = std::numeric_limits<float>::infinity();
  };
  // x: [rows, inputs], `x_stride` floats from row to row; y: [rows, stride()], no boundary required.
  void Apply(const float* x, int64_t x_stride, int rows, Bounds bounds, float* y,
             Isa isa = DetectIsa()) const;
  void Apply(const float* x, int rows, float* y) const { Apply(x, inputs_, rows, {}, y); }

 private:
  static constexpr int kTile = 16;  // outputs that are computed together

  int outputs_ = 0;
  int inputs_ = 0;
  AlignedBuffer<float> packed_;  // [tiles][inputs][kTile]
  AlignedBuffer<float> bias_;    // [tiles * kTile]
};

}  // namespace parley::engine::kernels

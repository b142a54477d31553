// Linear layers on group-quantised weights: y[r, n] = sum_k x[r, k] * w[n, k], without bias.
//
// Weights keep the file's own precision: groups of 32 along k, each w = scale * q + minimum (Q4_0, Q4_1, Q8_0
// of GGUF). They are repacked once so that one SIMD lane holds one output. A group's sum of products with
// quantised activations is an exact integer; groups are added in order of k with one fused multiply-add each.
// So a row's result is the same bit for bit whatever other rows there are, on whatever instructions, with
// however many threads.
//
// Plain memory, no threads of its own: the caller splits tiles among threads. Thread-safe where const.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/cpu_features.h"
#include "engine/kernels/quantized_rows.h"

namespace parley::engine::kernels {

inline constexpr int kTileOutputs = 16;  // outputs that are packed together

enum class WeightFormat {
  kQ4,  // 4 bits: Q4_0 and Q4_1
  kQ8,  // 8 bits: Q8_0
};

class QuantizedWeights {
 public:
  QuantizedWeights() = default;

  // Repacks GGUF blocks, n rows of k weights. `bytes` is checked against the shape.
  static absl::StatusOr<QuantizedWeights> FromQ4_0(absl::Span<const uint8_t> bytes, int n, int k);
  static absl::StatusOr<QuantizedWeights> FromQ4_1(absl::Span<const uint8_t> bytes, int n, int k);
  static absl::StatusOr<QuantizedWeights> FromQ8_0(absl::Span<const uint8_t> bytes, int n, int k);
  // Quantises w: [n, k] to 8 bits, as Q8_0 does.
  static absl::StatusOr<QuantizedWeights> FromFloats(absl::Span<const float> w, int n, int k);

  int outputs() const { return n_; }
  int inputs() const { return k_; }
  // n rounded up to whole tiles; rows beyond n are zero.
  int tiles() const { return (n_ + kTileOutputs - 1) / kTileOutputs; }
  int64_t bytes() const { return static_cast<int64_t>(packed_.size()); }

  // Rows [first, first + count) of some; `first` is a multiple of kRowsTogether.
  struct RowRange {
    int first;
    int count;
  };
  // Computes outputs of tiles [tile_begin, tile_end) for some rows of x, or for all:
  // y[row * y_stride + n] for n < outputs(). REQUIRES: x.k() == inputs().
  void Multiply(const QuantizedRows& x, RowRange rows, int tile_begin, int tile_end, float* y,
                int64_t y_stride, Isa isa = DetectIsa()) const;
  void Multiply(const QuantizedRows& x, int tile_begin, int tile_end, float* y, int64_t y_stride,
                Isa isa = DetectIsa()) const {
    Multiply(x, {0, x.rows()}, tile_begin, tile_end, y, y_stride, isa);
  }

 private:
  void Reset(WeightFormat format, int n, int k);
  int block_bytes() const;  // one tile's share of one group
  uint8_t* block(int tile, int group);
  void SetGroup(int output, int group, const uint8_t* q, uint16_t scale_fp16, uint16_t minimum_fp16);

  WeightFormat format_ = WeightFormat::kQ4;
  int n_ = 0;
  int k_ = 0;
  AlignedBuffer<uint8_t> packed_;
};

}  // namespace parley::engine::kernels

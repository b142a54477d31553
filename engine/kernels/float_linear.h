// A dense layer in fp32: y[row][o] = bias[o] + sum_k x[row][k] * w[o][k].
//
// Weights are kept in fp32, or rounded to bf16, which is half the memory to read; products and sums are fp32.
//
// Sums run over k in one order in every path and for every number of rows, so a row's result does not depend
// on the rows beside it. Between instruction sets the last bits may differ: not all of them round once.
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

namespace internal {
struct FloatLinearTask;
}

class FloatLinear {
 public:
  enum class Storage { kFp32, kBf16 };

  FloatLinear() = default;
  // weights: [outputs, inputs], bias: [outputs] or empty.
  FloatLinear(absl::Span<const float> weights, absl::Span<const float> bias, int outputs, int inputs,
              Storage storage = Storage::kFp32);

  int outputs() const { return outputs_; }
  int inputs() const { return inputs_; }
  // Of 16 outputs, the last of which may be fewer.
  int tiles() const { return (outputs_ + kTile - 1) / kTile; }
  // Floats from row to row of y: outputs rounded up to whole tiles, which are written too (as zeros).
  int stride() const { return tiles() * kTile; }

  // What becomes of each output.
  struct Bounds {
    float low = -std::numeric_limits<float>::infinity();
    float high = std::numeric_limits<float>::infinity();
  };
  // x: [rows, inputs], `x_stride` floats from row to row; y: [rows, stride()], no boundary required.
  void Apply(const float* x, int64_t x_stride, int rows, Bounds bounds, float* y,
             Isa isa = DetectIsa()) const;
  void Apply(const float* x, int rows, float* y) const { Apply(x, inputs_, rows, {}, y); }
  // The outputs of tiles [tile_begin, tile_end) only, y[row * y_stride + o] for o < outputs(): x [rows,
  // inputs].
  void ApplyTiles(const float* x, int rows, int tile_begin, int tile_end, float* y, int64_t y_stride,
                  Isa isa = DetectIsa()) const;

 private:
  // With the weights filled in.
  void Run(internal::FloatLinearTask task, Isa isa) const;

  static constexpr int kTile = 16;  // outputs that are computed together

  int outputs_ = 0;
  int inputs_ = 0;
  Storage storage_ = Storage::kFp32;
  AlignedBuffer<float> packed_;     // [tiles][inputs][kTile]; of kFp32
  AlignedBuffer<uint16_t> halves_;  // likewise, of kBf16
  AlignedBuffer<float> bias_;       // [tiles * kTile]
};

}  // namespace parley::engine::kernels

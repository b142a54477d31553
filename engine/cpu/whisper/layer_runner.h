// The pieces that Whisper's encoder and decoder layers have in common, on rows of plain memory, each shared
// out among the threads of a team.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "engine/cpu/activations.h"
#include "engine/cpu/products.h"
#include "engine/cpu/whisper/layers.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/cpu_features.h"
#include "engine/kernels/thread_team.h"
#include "engine/model/arithmetic.h"

namespace parley::engine::cpu {

// One thread at a time. Its memory grows to the largest call and stays.
class LayerRunner {
 public:
  LayerRunner(int threads, Arithmetic arithmetic)
      : arithmetic_(arithmetic), team_(threads), in_(arithmetic) {}

  kernels::Isa isa() const { return isa_; }
  // How keys and values are kept.
  kernels::KvFormat kv_format() const {
    return arithmetic_ == Arithmetic::kFp32 ? kernels::KvFormat::kFp32 : kernels::KvFormat::kFp16;
  }
  // Calls body for each of `count` things; threads do different ones at once. ForRows: things so small that a
  // thread takes some together.
  void For(int count, absl::FunctionRef<void(int)> body);
  void ForRows(int rows, absl::FunctionRef<void(int row)> body);

  // The rows that the next products take: x [rows, width], `stride` floats from row to row; or their
  // LayerNorm.
  void Take(const float* x, int rows, int width, int stride);
  void TakeNorm(const float* x, int rows, const Norm& norm);
  void Multiply(absl::Span<const Product> products);
  // x [rows, outputs] += the product and its bias.
  void AddTo(float* x, const Dense& dense);
  // x [rows, width] += the feed-forward layer's output.
  void FeedForward(const FeedForwardLayer& layer, int rows, float* x);

 private:
  const Arithmetic arithmetic_;
  const kernels::Isa isa_ = kernels::DetectIsa();
  kernels::ThreadTeam team_;
  Activations in_;  // of the next products
  Floats normed_;   // [rows, width]
  Floats product_;  // [rows, width]
  Floats up_;       // [rows, ffn]
};

}  // namespace parley::engine::cpu

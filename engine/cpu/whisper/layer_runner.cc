#include "engine/cpu/whisper/layer_runner.h"

#include "engine/kernels/elementwise.h"

namespace parley::engine::cpu {
namespace {

constexpr int kRowsOfWork = 4;  // of one thread

}  // namespace

void LayerRunner::For(int count, absl::FunctionRef<void(int)> body) {
  team_.For(count, 1, [&](int begin, int end) {
    for (int i = begin; i < end; ++i) body(i);
  });
}

void LayerRunner::ForRows(int rows, absl::FunctionRef<void(int)> body) {
  team_.For(rows, kRowsOfWork, [&](int begin, int end) {
    for (int row = begin; row < end; ++row) body(row);
  });
}

void LayerRunner::Take(const float* x, int rows, int width, int stride) {
  in_.Reset(rows, width);
  ForRows(rows, [&](int row) { in_.Set(row, x + static_cast<int64_t>(row) * stride, isa_); });
}

void LayerRunner::TakeNorm(const float* x, int rows, const Norm& norm) {
  const int width = static_cast<int>(norm.weight.size());
  in_.Reset(rows, width);
  normed_.Resize(static_cast<size_t>(rows) * width);
  ForRows(rows, [&](int row) {
    const int64_t at = static_cast<int64_t>(row) * width;
    float* const normed = normed_.data() + at;
    kernels::LayerNorm(x + at, norm.weight.data(), norm.bias.data(), kNormEpsilon, norm.values, width, normed,
                       isa_);
    in_.Set(row, normed, isa_);
  });
}

void LayerRunner::Multiply(absl::Span<const Product> products) { cpu::Multiply(team_, in_, products, isa_); }

void LayerRunner::AddTo(float* x, const Dense& dense) {
  const int width = dense.weights.outputs();
  const int rows = in_.rows();
  product_.Resize(static_cast<size_t>(rows) * width);
  Multiply({{&dense.weights, product_.data()}});
  ForRows(rows, [&](int row) {
    const int64_t at = static_cast<int64_t>(row) * width;
    kernels::Add(product_.data() + at, width, x + at, isa_);
    kernels::Add(dense.bias.data(), width, x + at, isa_);
  });
}

void LayerRunner::FeedForward(const FeedForwardLayer& layer, int rows, float* x) {
  const int ffn = layer.up.weights.outputs();
  TakeNorm(x, rows, layer.norm);
  up_.Resize(static_cast<size_t>(rows) * ffn);
  Multiply({{&layer.up.weights, up_.data()}});
  in_.Reset(rows, ffn);
  ForRows(rows, [&](int row) {
    float* const up = up_.data() + static_cast<int64_t>(row) * ffn;
    kernels::BiasGelu(up, layer.up.bias.data(), ffn, up, isa_);
    in_.Set(row, up, isa_);
  });
  AddTo(x, layer.down);
}

}  // namespace parley::engine::cpu

#include "engine/silero/linear.h"

#include "engine/kernels/cpu_features.h"
#include "engine/silero/linear_internal.h"

namespace parley::engine::silero {

Linear::Linear(absl::Span<const float> weights, absl::Span<const float> bias, int outputs, int inputs)
    : outputs_(outputs), inputs_(inputs) {
  packed_.Resize(static_cast<size_t>(stride()) * inputs);
  bias_.Resize(stride());
  for (int o = 0; o < outputs; ++o) {
    float* tile = packed_.data() + static_cast<size_t>(o / kTile) * inputs * kTile + o % kTile;
    for (int k = 0; k < inputs; ++k)
      tile[static_cast<size_t>(k) * kTile] = weights[static_cast<size_t>(o) * inputs + k];
    if (!bias.empty()) bias_.data()[o] = bias[o];
  }
}

void Linear::Apply(const float* x, int rows, float* y) const {
  static const bool avx2 = kernels::DetectIsa() != kernels::Isa::kPortable;
  const internal::LinearTask task{packed_.data(), bias_.data(), stride() / kTile, inputs_, x, rows, y};
  (avx2 ? internal::LinearAvx2 : internal::LinearPortable)(task);
}

}  // namespace parley::engine::silero

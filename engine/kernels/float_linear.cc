#include "engine/kernels/float_linear.h"

#include "engine/kernels/float_linear_internal.h"

namespace parley::engine::kernels {

FloatLinear::FloatLinear(absl::Span<const float> weights, absl::Span<const float> bias, int outputs,
                         int inputs)
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

void FloatLinear::Apply(const float* x, int64_t x_stride, int rows, Bounds bounds, float* y, Isa isa) const {
  const internal::FloatLinearTask task{packed_.data(), bias_.data(), stride() / kTile, inputs_,     x,
                                       x_stride,       rows,         bounds.low,       bounds.high, y};
  switch (isa) {
    case Isa::kPortable:
      return internal::FloatLinearPortable(task);
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return internal::FloatLinearAvx2(task);
    case Isa::kAvx512:
      return internal::FloatLinearAvx512(task);
  }
}

}  // namespace parley::engine::kernels

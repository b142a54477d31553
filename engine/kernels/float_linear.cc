#include "engine/kernels/float_linear.h"

#include "engine/kernels/bf16.h"
#include "engine/kernels/float_linear_internal.h"

namespace parley::engine::kernels {

FloatLinear::FloatLinear(absl::Span<const float> weights, absl::Span<const float> bias, int outputs,
                         int inputs, Storage storage)
    : outputs_(outputs), inputs_(inputs), storage_(storage) {
  const size_t size = static_cast<size_t>(stride()) * inputs;
  if (storage == Storage::kFp32) {
    packed_.Resize(size);
  } else {
    halves_.Resize(size);
  }
  bias_.Resize(stride());
  for (int o = 0; o < outputs; ++o) {
    const size_t tile = static_cast<size_t>(o / kTile) * inputs * kTile + o % kTile;
    for (int k = 0; k < inputs; ++k) {
      const size_t to = tile + static_cast<size_t>(k) * kTile;
      const float weight = weights[static_cast<size_t>(o) * inputs + k];
      if (storage == Storage::kFp32) {
        packed_.data()[to] = weight;
      } else {
        halves_.data()[to] = FloatToBf16(weight);
      }
    }
    if (!bias.empty()) bias_.data()[o] = bias[o];
  }
}

void FloatLinear::Apply(const float* x, int64_t x_stride, int rows, Bounds bounds, float* y, Isa isa) const {
  // Padded outputs are outputs like the others here.
  Run({.outputs = stride(),
       .tile_begin = 0,
       .tile_end = tiles(),
       .x = x,
       .x_stride = x_stride,
       .rows = rows,
       .low = bounds.low,
       .high = bounds.high,
       .y = y,
       .y_stride = stride()},
      isa);
}

void FloatLinear::ApplyTiles(const float* x, int rows, int tile_begin, int tile_end, float* y,
                             int64_t y_stride, Isa isa) const {
  const Bounds none;
  Run({.outputs = outputs_,
       .tile_begin = tile_begin,
       .tile_end = tile_end,
       .x = x,
       .x_stride = inputs_,
       .rows = rows,
       .low = none.low,
       .high = none.high,
       .y = y,
       .y_stride = y_stride},
      isa);
}

void FloatLinear::Run(internal::FloatLinearTask task, Isa isa) const {
  task.packed = packed_.data();
  task.halves = storage_ == Storage::kBf16 ? halves_.data() : nullptr;
  task.bias = bias_.data();
  task.inputs = inputs_;
  switch (isa) {
    case Isa::kPortable:
      return internal::FloatLinearPortable(task);
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return internal::FloatLinearAvx2(task);
    case Isa::kAvx512:
    case Isa::kAmx:
      return internal::FloatLinearAvx512(task);
  }
}

}  // namespace parley::engine::kernels

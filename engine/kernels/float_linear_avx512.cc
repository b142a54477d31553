#include "engine/kernels/float_linear_simd.h"

namespace parley::engine::kernels::internal {

// 24 sums, 3 weights, 1 input of 32 registers.
void FloatLinearAvx512(const FloatLinearTask& task) {
  RunFloatLinear</*kLanes=*/16, /*kRows=*/8, /*kTiles=*/3>(task);
}

}  // namespace parley::engine::kernels::internal

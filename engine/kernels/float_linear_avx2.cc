#include "engine/kernels/float_linear_simd.h"

namespace parley::engine::kernels::internal {

// 12 sums, 2 weights, 1 input of 16 registers.
void FloatLinearAvx2(const FloatLinearTask& task) {
  RunFloatLinear</*kLanes=*/8, /*kRows=*/6, /*kTiles=*/1>(task);
}

}  // namespace parley::engine::kernels::internal

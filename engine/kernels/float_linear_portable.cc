#include "engine/kernels/float_linear_simd.h"

namespace parley::engine::kernels::internal {

void FloatLinearPortable(const FloatLinearTask& task) {
  RunFloatLinear</*kLanes=*/4, /*kRows=*/2, /*kTiles=*/1>(task);
}

}  // namespace parley::engine::kernels::internal

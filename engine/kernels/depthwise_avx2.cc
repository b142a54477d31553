#include "engine/kernels/depthwise_simd.h"

namespace parley::engine::kernels::internal {

void ConvolveDepthwiseAvx2(const DepthwiseTask& task) { RunDepthwise<8>(task); }

}  // namespace parley::engine::kernels::internal

#include "engine/kernels/depthwise_simd.h"

namespace parley::engine::kernels::internal {

void ConvolveDepthwiseAvx512(const DepthwiseTask& task) { RunDepthwise<16>(task); }

}  // namespace parley::engine::kernels::internal

#include "engine/kernels/depthwise.h"

#include "engine/kernels/depthwise_simd.h"

namespace parley::engine::kernels {

void ConvolveDepthwise(const DepthwiseTask& task, Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return internal::RunDepthwise<4>(task);
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return internal::ConvolveDepthwiseAvx2(task);
    case Isa::kAvx512:
    case Isa::kAmx:
      return internal::ConvolveDepthwiseAvx512(task);
  }
}

}  // namespace parley::engine::kernels

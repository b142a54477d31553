// The depthwise convolution over vectors of kLanes channels. Include it in files that are compiled for one
// instruction set, and nowhere else.
#pragma once

#include "engine/kernels/depthwise.h"
#include "engine/kernels/vector_floats.h"

namespace parley::engine::kernels::internal {

void ConvolveDepthwiseAvx2(const DepthwiseTask& task);
void ConvolveDepthwiseAvx512(const DepthwiseTask& task);

namespace {

// P pixels of the output side by side, for the kernel's rows and columns that lie inside the picture.
template <int kLanes, int P>
inline void DepthwisePixels(const DepthwiseTask& t, int row, int column) {
  using V = VectorFloats<kLanes>;
  const int top = row * t.stride - t.before;
  const int left = column * t.stride - t.before;
  const int first_y = top < 0 ? -top : 0;
  const int last_y = top + t.kernel > t.size ? t.size - top : t.kernel;
  const int first_x = left < 0 ? -left : 0;  // P > 1: all of the kernel lies inside
  const int last_x = left + t.kernel > t.size ? t.size - left : t.kernel;
  for (int c = 0; c < t.channels; c += kLanes) {
    typename V::Type sum[P];
    for (int p = 0; p < P; ++p) sum[p] = V::Load(t.bias + c);
    for (int ky = first_y; ky < last_y; ++ky) {
      const float* const line = t.x + (static_cast<int64_t>(top + ky) * t.size + left) * t.channels + c;
      const float* const weights = t.weights + static_cast<int64_t>(ky) * t.kernel * t.channels + c;
      const int last = P > 1 ? t.kernel : last_x;
      for (int kx = P > 1 ? 0 : first_x; kx < last; ++kx) {
        const typename V::Type w = V::Load(weights + static_cast<int64_t>(kx) * t.channels);
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
          const float* const pixel = line + (static_cast<int64_t>(p) * t.stride + kx) * t.channels;
          sum[p] = V::MultiplyAdd(w, V::Load(pixel), sum[p]);
        }
      }
    }
    for (int p = 0; p < P; ++p) {
      V::Store(t.y + (static_cast<int64_t>(row) * t.out_size + column + p) * t.channels + c,
               V::Clamp(sum[p], t.low, t.high));
    }
  }
}

template <int kLanes>
void RunDepthwise(const DepthwiseTask& t) {
  constexpr int kPixels = 4;
  for (int row = t.row_begin; row < t.row_end; ++row) {
    int column = 0;
    while (column < t.out_size) {
      const int left = column * t.stride - t.before;
      const int right = left + (kPixels - 1) * t.stride + t.kernel;
      if (left >= 0 && right <= t.size && column + kPixels <= t.out_size) {
        DepthwisePixels<kLanes, kPixels>(t, row, column);
        column += kPixels;
      } else {
        DepthwisePixels<kLanes, 1>(t, row, column++);
      }
    }
  }
}

}  // namespace
}  // namespace parley::engine::kernels::internal

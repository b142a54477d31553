// The dense layer over vectors of kLanes floats, kRows rows by kTiles tiles at once. Include it in files that
// are compiled for one instruction set, and nowhere else.
#pragma once

#include "engine/kernels/float_linear_internal.h"
#include "engine/kernels/vector_floats.h"

namespace parley::engine::kernels::internal {
namespace {

constexpr int kFloatTile = 16;

// R rows of x against T tiles: the sums stay in registers.
template <int kLanes, int R, int T>
inline void FloatBlock(const FloatLinearTask& task, int tile, const float* x, float* y) {
  using V = VectorFloats<kLanes>;
  constexpr int kParts = kFloatTile / kLanes;
  const int inputs = task.inputs;
  typename V::Type sum[R][T][kParts];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
        sum[r][t][p] = V::Load(task.bias + (tile + t) * kFloatTile + p * kLanes);
      }
    }
  }
  const float* const weights = task.packed + static_cast<int64_t>(tile) * inputs * kFloatTile;
  for (int k = 0; k < inputs; ++k) {
    typename V::Type w[T][kParts];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
        w[t][p] = V::Load(weights + (static_cast<int64_t>(t) * inputs + k) * kFloatTile + p * kLanes);
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const float value = x[r * task.x_stride + k];
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) sum[r][t][p] += w[t][p] * value;
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
        V::Store(y + (static_cast<int64_t>(r) * task.tiles + tile + t) * kFloatTile + p * kLanes,
                 V::Clamp(sum[r][t][p], task.low, task.high));
      }
    }
  }
}

template <int kLanes, int R, int T>
inline void FloatRows(const FloatLinearTask& task, int row) {
  const float* const x = task.x + row * task.x_stride;
  float* const y = task.y + static_cast<int64_t>(row) * task.tiles * kFloatTile;
  int tile = 0;
  for (; tile + T <= task.tiles; tile += T) FloatBlock<kLanes, R, T>(task, tile, x, y);
  for (; tile < task.tiles; ++tile) FloatBlock<kLanes, R, 1>(task, tile, x, y);
}

template <int kLanes, int kRows, int kTiles>
inline void RunFloatLinear(const FloatLinearTask& task) {
  int row = 0;
  for (; row + kRows <= task.rows; row += kRows) FloatRows<kLanes, kRows, kTiles>(task, row);
  for (; row + 2 <= task.rows; row += 2) FloatRows<kLanes, 2, 2>(task, row);
  for (; row < task.rows; ++row) FloatRows<kLanes, 1, 4>(task, row);
}

}  // namespace
}  // namespace parley::engine::kernels::internal

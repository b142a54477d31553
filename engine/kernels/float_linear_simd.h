// The dense layer over vectors of kLanes floats, kRows rows by kTiles tiles at once. Include it in files that
// are compiled for one instruction set, and nowhere else.
#pragma once

#include "engine/kernels/float_linear_internal.h"
#include "engine/kernels/vector_floats.h"

namespace parley::engine::kernels::internal {
namespace {

constexpr int kFloatTile = 16;

// Terms that are added up by themselves: long sums in fp32 lose digits.
constexpr int kPieceTerms = 128;

// R rows of x against T tiles: the sums of a piece stay in registers.
template <int kLanes, bool kBf16, int R, int T>
inline void FloatBlock(const FloatLinearTask& task, int tile, const float* x, float* y) {
  using V = VectorFloats<kLanes>;
  constexpr int kParts = kFloatTile / kLanes;
  const int inputs = task.inputs;
  typename V::Type total[R][T][kParts];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
        total[r][t][p] = V::Load(task.bias + (tile + t) * kFloatTile + p * kLanes);
      }
    }
  }
  const int64_t first = static_cast<int64_t>(tile) * inputs * kFloatTile;
  for (int begin = 0; begin < inputs; begin += kPieceTerms) {
    typename V::Type sum[R][T][kParts];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) sum[r][t][p] = typename V::Type{};
      }
    }
    const int end = inputs - begin < kPieceTerms ? inputs : begin + kPieceTerms;
    for (int k = begin; k < end; ++k) {
      typename V::Type w[T][kParts];
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) {
          const int64_t at = first + (static_cast<int64_t>(t) * inputs + k) * kFloatTile + p * kLanes;
          if constexpr (kBf16) {
            w[t][p] = V::LoadHalves(task.halves + at);
          } else {
            w[t][p] = V::Load(task.packed + at);
          }
        }
      }
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const typename V::Type value = V::Broadcast(x[r * task.x_stride + k]);
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
          for (int p = 0; p < kParts; ++p) sum[r][t][p] = V::MultiplyAdd(w[t][p], value, sum[r][t][p]);
        }
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) total[r][t][p] += sum[r][t][p];
      }
    }
  }
  const bool whole = (tile + T) * kFloatTile <= task.outputs;
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    float* const to = y + r * task.y_stride + tile * kFloatTile;
    float all[T * kFloatTile];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
        const int at = t * kFloatTile + p * kLanes;
        V::Store(whole ? to + at : all + at, V::Clamp(total[r][t][p], task.low, task.high));
      }
    }
    for (int o = 0; !whole && tile * kFloatTile + o < task.outputs; ++o) to[o] = all[o];
  }
}

template <int kLanes, bool kBf16, int R, int T>
inline void FloatRows(const FloatLinearTask& task, int row) {
  const float* const x = task.x + row * task.x_stride;
  float* const y = task.y + row * task.y_stride;
  int tile = task.tile_begin;
  for (; tile + T <= task.tile_end; tile += T) FloatBlock<kLanes, kBf16, R, T>(task, tile, x, y);
  for (; tile < task.tile_end; ++tile) FloatBlock<kLanes, kBf16, R, 1>(task, tile, x, y);
}

template <int kLanes, bool kBf16, int kRows, int kTiles>
inline void RunRows(const FloatLinearTask& task) {
  int row = 0;
  for (; row + kRows <= task.rows; row += kRows) FloatRows<kLanes, kBf16, kRows, kTiles>(task, row);
  if (row + kRows / 2 <= task.rows) {
    FloatRows<kLanes, kBf16, kRows / 2, kTiles>(task, row);
    row += kRows / 2;
  }
  for (; row + 2 <= task.rows; row += 2) FloatRows<kLanes, kBf16, 2, 2>(task, row);
  for (; row < task.rows; ++row) FloatRows<kLanes, kBf16, 1, 4>(task, row);
}

template <int kLanes, int kRows, int kTiles>
inline void RunFloatLinear(const FloatLinearTask& task) {
  if (task.halves == nullptr) {
    RunRows<kLanes, false, kRows, kTiles>(task);
  } else {
    RunRows<kLanes, true, kRows, kTiles>(task);
  }
}

}  // namespace
}  // namespace parley::engine::kernels::internal

// The quantised linear layer over an abstract vector unit, instantiated once for each instruction set. A unit
// V has kLanes outputs a register, kTermsAtOnce terms that fit its registers, and:
//   Bytes, Sums, Floats          weights and activations; integer sums; one float an output
//   Load, Low, High              weights of kLanes outputs; their low and high nibbles
//   Broadcast                    4 activations in every 32-bit lane
//   Dot(sums, u, x)              adds 4 products a lane, u in 0..15
//   DotSigned(sums, w, x, from)  the same for 8-bit weights: w is Signed(Load(from))
//   Finish(sums)                 the sums of a group of Dot as floats
//   FinishSigned(sums, total)    of DotSigned; total: the sum of the group's activations
//   Pin(sums)                    keeps the compiler from reordering the additions, for which it would need
//                                more registers than there are
// Include it in the one file that is compiled for V's instructions, and nowhere else.
#pragma once

#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels::internal {
namespace {

template <class V>
inline void Store(const LinearTask& t, int row, int output, typename V::Floats y) {
  float* const out = t.y + row * t.y_stride + output;
  const int left = t.n - output;
  if (left >= V::kLanes) {
    V::Store(out, y);
    return;
  }
  alignas(64) float all[V::kLanes];
  V::Store(all, y);
  for (int o = 0; o < left; ++o) out[o] = all[o];
}

// N terms (rows x Terms) against H registers of outputs from `output` on. `block`: the first group's weights
// of these outputs. Each weight is loaded and unpacked once for all terms.
template <class V, bool kSigned, int N, int Terms, int H>
inline void MultiplyBlock(const LinearTask& t, const uint8_t* block, int half, int output, int term0) {
  constexpr int kSteps = kSigned ? 8 : 4;
  constexpr int kWeights = kSigned ? kQ8Bytes : kQ4Bytes;
  constexpr int kBlock = kSigned ? kQ8BlockBytes : kQ4BlockBytes;
  constexpr int kBytes = V::kLanes * 4;
  constexpr int kRows = N / Terms;
  static_assert(N % Terms == 0);
  block += half * kBytes;
  const Panel* panel = t.panels + static_cast<int64_t>(term0 / kPanelTerms) * t.groups;
  typename V::Floats y[kRows][H];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int h = 0; h < H; ++h) y[r][h] = V::ZeroFloats();
  }
  for (int g = 0; g < t.groups; ++g, block += kBlock, ++panel) {
    const Panel* const second = panel + t.groups;  // terms 4 to 7
    typename V::Sums sums[N][H];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 2
      for (int h = 0; h < H; ++h) sums[n][h] = V::ZeroSums();
    }
#pragma GCC unroll 8
    for (int j = 0; j < kSteps; ++j) {
      typename V::Bytes low[H], high[H];
#pragma GCC unroll 2
      for (int h = 0; h < H; ++h) {
        const typename V::Bytes both = V::Load(block + 64 * j + h * kBytes);
        if constexpr (kSigned) {
          low[h] = V::Signed(both);
        } else {
          low[h] = V::Low(both);
          high[h] = V::High(both);
        }
      }
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const int8_t* const x = (n < kPanelTerms ? panel : second)->values[n % kPanelTerms] + 4 * j;
        const typename V::Bytes first = V::Broadcast(x);
#pragma GCC unroll 2
        for (int h = 0; h < H; ++h) {
          if constexpr (kSigned) {
            V::DotSigned(sums[n][h], low[h], first, block + 64 * j + h * kBytes);
          } else {
            V::Dot(sums[n][h], low[h], first);
          }
        }
        if constexpr (!kSigned) {
          const typename V::Bytes later = V::Broadcast(x + 16);
#pragma GCC unroll 2
          for (int h = 0; h < H; ++h) V::Dot(sums[n][h], high[h], later);
        }
#pragma GCC unroll 2
        for (int h = 0; h < H; ++h) V::Pin(sums[n][h]);
      }
    }
#pragma GCC unroll 2
    for (int h = 0; h < H; ++h) {
      const uint8_t* const halves = block - half * kBytes + kWeights + (half + h) * V::kLanes * 2;
      const typename V::Floats scale = V::LoadHalves(halves);
      typename V::Floats minimum;
      if constexpr (!kSigned) minimum = V::LoadHalves(halves + 2 * kTile);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const Panel* const p = n < kPanelTerms ? panel : second;
        typename V::Floats products;
        if constexpr (kSigned) {
          products = V::FinishSigned(sums[n][h], p->totals[n % kPanelTerms]);
        } else {
          products = V::Finish(sums[n][h]);
        }
        typename V::Floats& to = y[n / Terms][h];
        to = V::MultiplyAdd(products, V::Multiply(scale, V::BroadcastFloat(p->scales + n % kPanelTerms)), to);
        if constexpr (!kSigned) {
          if (n % Terms == Terms - 1) {
            to = V::MultiplyAdd(minimum, V::BroadcastFloat(p->sums + (n / Terms * Terms) % kPanelTerms), to);
          }
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int h = 0; h < H; ++h) Store<V>(t, term0 / Terms + r, output + h * V::kLanes, y[r][h]);
  }
}

// All registers of a tile for N terms: together where they fit, else one after the other.
template <class V, bool kSigned, int N, int Terms>
inline void TileTerms(const LinearTask& t, const uint8_t* block, int tile, int term0) {
  constexpr int kRegisters = kTile / V::kLanes;
  if constexpr (kRegisters == 1) {
    MultiplyBlock<V, kSigned, N, Terms, 1>(t, block, 0, tile * kTile, term0);
  } else if constexpr (N <= 2) {
    MultiplyBlock<V, kSigned, N, Terms, 2>(t, block, 0, tile * kTile, term0);
  } else {
    MultiplyBlock<V, kSigned, N, Terms, 1>(t, block, 0, tile * kTile, term0);
    MultiplyBlock<V, kSigned, N, Terms, 1>(t, block, 1, tile * kTile + V::kLanes, term0);
  }
}

template <class V, bool kSigned, int Terms>
void Multiply(const LinearTask& t) {
  using Kernel = void (*)(const LinearTask&, const uint8_t*, int, int);
  constexpr int kBlock = kSigned ? kQ8BlockBytes : kQ4BlockBytes;
  constexpr int kAtOnce = V::kTermsAtOnce;
  static_assert(kAtOnce == 4 || kAtOnce == 8);
  for (int tile = t.tile_begin; tile < t.tile_end; ++tile) {
    const uint8_t* const block = t.packed + static_cast<int64_t>(tile) * t.groups * kBlock;
    int term = 0;
    for (; term + kAtOnce <= t.terms; term += kAtOnce) {
      TileTerms<V, kSigned, kAtOnce, Terms>(t, block, tile, term);
    }
    if (term + 4 <= t.terms) {
      TileTerms<V, kSigned, 4, Terms>(t, block, tile, term);
      term += 4;
    }
    if constexpr (Terms == 1) {
      static constexpr Kernel kRest[4] = {nullptr, TileTerms<V, kSigned, 1, 1>, TileTerms<V, kSigned, 2, 1>,
                                          TileTerms<V, kSigned, 3, 1>};
      if (term < t.terms) kRest[t.terms - term](t, block, tile, term);
    } else {
      if (term < t.terms) TileTerms<V, kSigned, 2, 2>(t, block, tile, term);
    }
  }
}

template <class V, bool kSigned>
void MultiplyTerms(const LinearTask& t) {
  if (t.terms_per_row == 1) {
    Multiply<V, kSigned, 1>(t);
  } else {
    Multiply<V, kSigned, 2>(t);
  }
}

}  // namespace
}  // namespace parley::engine::kernels::internal

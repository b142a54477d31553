// The quantised linear layer over an abstract vector unit, instantiated once for each instruction set. A unit
// V has kLanes outputs a register, kTermsAtOnce terms and kTilesAtOnce tiles that fit its registers, and:
//   Bytes, Sums, Ints, Floats    weights and activations; sums as they are added up; one int32 or float an
//                                output
//   Load, Low, High              weights of kLanes outputs; their low and high nibbles
//   Broadcast                    4 activations in every 32-bit lane
//   Dot(sums, u, x)              adds 4 products a lane, u in 0..15
//   DotSigned(sums, w, x, from)  the same for 8-bit weights: w is Signed(Load(from))
//   Whole(sums)                  the sums of a group of Dot
//   WholeSigned(sums, total)     of DotSigned; total: the sum of the group's activations
//   Join(first, second)          kTermRatio x first + second: a row's two terms
//   ToFloats(ints)
//   Store
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

// Where H registers of outputs lie: the halves of a tile, or a whole tile each.
struct Place {
  const uint8_t* weights;  // of the first register, in the first group
  const uint8_t* halves;   // its scales
  int64_t weights_step;    // bytes to the next register's
  int64_t halves_step;
  int output;  // the first one
  // What is fetched meanwhile, for the next tiles: so many bytes a group. The processor's own prefetching
  // ends with a tile's blocks.
  const uint8_t* ahead;
  int ahead_bytes;
};

// Adds the products of one group, of which `place` is: N terms (rows x Terms), with their values and scales,
// against H registers of outputs. Each weight is loaded and unpacked once for all terms, each activation once
// for all outputs.
template <class V, bool kSigned, int N, int Terms, int H>
[[gnu::always_inline]] inline void AddGroup(const Place& place, const int8_t (*values)[32],
                                            const GroupScale* scales, typename V::Floats (*y)[H]) {
  constexpr int kSteps = kSigned ? 8 : 4;
  static_assert(N % Terms == 0);
  typename V::Sums sums[N][H];
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) sums[n][h] = V::ZeroSums();
  }
#pragma GCC unroll 8
  for (int j = 0; j < kSteps; ++j) {
    typename V::Bytes low[H], high[H];
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) {
      const typename V::Bytes both = V::Load(place.weights + h * place.weights_step + 64 * j);
      if constexpr (kSigned) {
        low[h] = V::Signed(both);
      } else {
        low[h] = V::Low(both);
        high[h] = V::High(both);
      }
    }
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      const int8_t* const x = values[n] + 4 * j;
      const typename V::Bytes first = V::Broadcast(x);
#pragma GCC unroll 4
      for (int h = 0; h < H; ++h) {
        if constexpr (kSigned) {
          V::DotSigned(sums[n][h], low[h], first, place.weights + h * place.weights_step + 64 * j);
        } else {
          V::Dot(sums[n][h], low[h], first);
        }
      }
      if constexpr (!kSigned) {
        const typename V::Bytes later = V::Broadcast(x + 16);
#pragma GCC unroll 4
        for (int h = 0; h < H; ++h) V::Dot(sums[n][h], high[h], later);
      }
#pragma GCC unroll 4
      for (int h = 0; h < H; ++h) V::Pin(sums[n][h]);
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < H; ++h) {
    const uint8_t* const halves = place.halves + h * place.halves_step;
    const typename V::Floats scale = V::LoadHalves(halves);
    typename V::Floats minimum;
    if constexpr (!kSigned) minimum = V::LoadHalves(halves + 2 * kTile);
#pragma GCC unroll 8
    for (int r = 0; r < N / Terms; ++r) {
      const int n = r * Terms;
      const auto whole = [&](int term) {
        if constexpr (kSigned) {
          return V::WholeSigned(sums[term][h], scales[term].total);
        } else {
          return V::Whole(sums[term][h]);
        }
      };
      typename V::Ints products = whole(n);
      if constexpr (Terms == 2) products = V::Join(products, whole(n + 1));
      typename V::Floats& to = y[r][h];
      to = V::MultiplyAdd(V::ToFloats(products), V::Multiply(scale, V::BroadcastFloat(&scales[n].scale)), to);
      if constexpr (!kSigned) to = V::MultiplyAdd(minimum, V::BroadcastFloat(&scales[n].sum), to);
    }
  }
}

// Adds what N rows of a panel, from `slot` on, left over; `place` is of the first group.
template <class V, bool kSigned, int N, int H>
[[gnu::always_inline]] inline void AddRests(const LinearTask& t, const Place& place, int panel, int slot,
                                            typename V::Floats (*y)[H]) {
  const RestPanel* rest = t.rests + static_cast<int64_t>(panel) * t.groups;
  for (const RestPanel* const end = rest + t.rest_counts[panel]; rest != end; ++rest) {
    Place at = place;
    at.weights += rest->group * kBlockBytes<kSigned>;
    at.halves += rest->group * kBlockBytes<kSigned>;
    AddGroup<V, kSigned, N, 1, H>(at, rest->panel.values + slot, rest->panel.scales + slot, y);
  }
}

// All groups of N terms against H registers of outputs.
template <class V, bool kSigned, int N, int Terms, int H>
inline void MultiplyBlock(const LinearTask& t, const Place& first, int term0) {
  constexpr int kRows = N / Terms;
  Place place = first;
  const int panel_index = term0 / kPanelTerms;
  const int slot = term0 % kPanelTerms;
  const Panel* panel = t.panels + static_cast<int64_t>(panel_index) * t.groups;
  typename V::Floats y[kRows][H];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) y[r][h] = V::ZeroFloats();
  }
  for (int g = 0; g < t.groups;
       ++g, place.weights += kBlockBytes<kSigned>, place.halves += kBlockBytes<kSigned>, ++panel) {
    for (int i = 0; i < place.ahead_bytes; i += 64) __builtin_prefetch(place.ahead + i);
    place.ahead += place.ahead_bytes;
    AddGroup<V, kSigned, N, Terms, H>(place, panel->values + slot, panel->scales + slot, y);
  }
  if constexpr (Terms == 1) AddRests<V, kSigned, N, H>(t, first, panel_index, slot, y);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) Store<V>(t, term0 / Terms + r, place.output + h * V::kLanes, y[r][h]);
  }
}

constexpr int kStreamTerms = 4;

// What a pass over some tiles fetches of the next ones.
struct Ahead {
  const uint8_t* from;
  int bytes;  // a group
};

// The registers of the tiles from `tile` on: whole tiles, or the halves of one.
template <class V, bool kSigned>
inline Place PlaceOf(const LinearTask& t, int tile) {
  const int64_t tile_bytes = static_cast<int64_t>(t.groups) * kBlockBytes<kSigned>;
  const uint8_t* const block = t.packed + tile * tile_bytes;
  if constexpr (V::kLanes == kTile) {
    return {block, block + kPackedBytes<kSigned>, tile_bytes, tile_bytes, tile * kTile, nullptr, 0};
  } else {
    static_assert(2 * V::kLanes == kTile);
    return {block, block + kPackedBytes<kSigned>, V::kLanes * 4, V::kLanes * 2, tile * kTile, nullptr, 0};
  }
}

// T tiles for N terms: all registers together where they fit, else one after the other.
template <class V, bool kSigned, int N, int Terms, int T>
inline void TileTerms(const LinearTask& t, int tile, int term0, Ahead& ahead) {
  Place place = PlaceOf<V, kSigned>(t, tile);
  place.ahead = ahead.from;
  place.ahead_bytes = ahead.bytes;
  ahead.from += static_cast<int64_t>(ahead.bytes) * t.groups;
  if constexpr (V::kLanes == kTile) {
    MultiplyBlock<V, kSigned, N, Terms, T>(t, place, term0);
  } else {
    static_assert(T == 1);
    if constexpr (N <= 2) {
      MultiplyBlock<V, kSigned, N, Terms, 2>(t, place, term0);
    } else {
      MultiplyBlock<V, kSigned, N, Terms, 1>(t, place, term0);
      place.ahead_bytes = 0;
      place.weights += place.weights_step;
      place.halves += place.halves_step;
      place.output += V::kLanes;
      MultiplyBlock<V, kSigned, N, Terms, 1>(t, place, term0);
    }
  }
}

// All terms for T tiles from `tile` on.
template <class V, bool kSigned, int Terms, int T>
inline void MultiplyTiles(const LinearTask& t, int tile) {
  using Kernel = void (*)(const LinearTask&, int, int, Ahead&);
  constexpr int kAtOnce = V::kTermsAtOnce;
  static_assert(kAtOnce == 4 || kAtOnce == 8);
  // The next tiles' blocks, in as many parts as there are passes over these.
  const int passes = t.terms / kAtOnce + (t.terms % kAtOnce + 3) / 4;
  Ahead ahead = {t.packed + static_cast<int64_t>(tile + T) * t.groups * kBlockBytes<kSigned>,
                 static_cast<int>((T * kBlockBytes<kSigned> + passes - 1) / passes)};
  int term = 0;
  for (; term + kAtOnce <= t.terms; term += kAtOnce)
    TileTerms<V, kSigned, kAtOnce, Terms, T>(t, tile, term, ahead);
  if (term + 4 <= t.terms) {
    TileTerms<V, kSigned, 4, Terms, T>(t, tile, term, ahead);
    term += 4;
  }
  if constexpr (Terms == 1) {
    static constexpr Kernel kFewer[4] = {nullptr, TileTerms<V, kSigned, 1, 1, T>,
                                         TileTerms<V, kSigned, 2, 1, T>, TileTerms<V, kSigned, 3, 1, T>};
    if (term < t.terms) kFewer[t.terms - term](t, tile, term, ahead);
  } else {
    if (term < t.terms) TileTerms<V, kSigned, 2, 2, T>(t, tile, term, ahead);
  }
}

template <class V, bool kSigned, int Terms>
void Multiply(const LinearTask& t) {
  int tile = t.tile_begin;
  // Few terms wait for memory, which gives one stream faster than two.
  if (V::kTilesAtOnce > 1 && t.terms > kStreamTerms) {
    for (; tile + V::kTilesAtOnce <= t.tile_end; tile += V::kTilesAtOnce) {
      MultiplyTiles<V, kSigned, Terms, V::kTilesAtOnce>(t, tile);
    }
  }
  for (; tile < t.tile_end; ++tile) MultiplyTiles<V, kSigned, Terms, 1>(t, tile);
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

// The quantised linear layer on AMX: a panel's sixteen terms against a tile of weights in one instruction a
// group. The products are the same integers and their floats are added in the same order as everywhere, so
// the bits are the same. What is fewer than sixteen terms goes the way of AVX-512. Compiled with the flags of
// AVX-512; includes nothing that has inline code shared with the rest.
//
// By count of cycles (Intel's optimisation manual, chapter "Intel AMX"), a group of sixteen terms of one tile
// takes sixteen in the tile unit, and beside them 32 for its floats and some 36 for loads, where AVX-512
// takes 96 for products and floats.
#include "engine/kernels/amx_tiles.h"
#include "engine/kernels/quantized_linear_512.h"

namespace parley::engine::kernels::internal {
namespace {

// Tiles of AMX by number, in two sets, so that one group's products are made while those of the group before
// are read:       products  values  weights
//   set 0             0        1       2
//   set 1             3        4       5
constexpr TileConfig kConfig = {
    .row_bytes = {kTile * 4, 32, kTile * 4, kTile * 4, 32, kTile * 4},
    .rows = {kPanelTerms, kPanelTerms, 8, kPanelTerms, kPanelTerms, 8},
};

// A group's weights of a tile as AMX takes them: bytes [j * 64 + o * 4 + i] = q[o][4j + i], j = 0..7, which
// is how eight bits are packed.
constexpr int kWeightBytes = kQ8Bytes;
// Unpacked once for all panels; 32 kB, so that they stay near. More groups are multiplied in several passes.
constexpr int kGroupsAtOnce = 64;

template <bool kSigned>
inline void Unpack(const uint8_t* block, uint8_t* weights) {
  if constexpr (kSigned) {
    for (int i = 0; i < kWeightBytes; i += 64) _mm512_store_si512(weights + i, Avx512::Load(block + i));
  } else {
    for (int i = 0; i < kQ4Bytes; i += 64) {
      const __m512i both = Avx512::Load(block + i);
      _mm512_store_si512(weights + i, Avx512::Low(both));
      _mm512_store_si512(weights + kQ4Bytes + i, Avx512::High(both));
    }
  }
}

// sums[n][o]: the products of one group of sixteen terms with sixteen outputs.
using Products = int32_t[kPanelTerms][kTile];

template <bool kSigned, int kSet>
inline void MultiplyGroup(const Panel& panel, const uint8_t* weights, Products& products) {
  constexpr int kSums = 3 * kSet, kValues = kSums + 1, kWeights = kSums + 2;
  LoadTile<kValues>(panel.values, 32);
  LoadTile<kWeights>(weights, 64);
  ZeroTile<kSums>();
  DotTiles<kSigned, kSums, kValues, kWeights>();
  StoreTile<kSums>(products, 64);
}

// Adds a group's products to the rows of a panel; `halves`: the weights' scales and minimums.
template <bool kSigned, int Terms>
[[gnu::always_inline]] inline void AddProducts(const Products& products, const Panel& panel,
                                               const uint8_t* halves, __m512* y) {
  const __m512 scale = Avx512::LoadHalves(halves);
  __m512 minimum;
  if constexpr (!kSigned) minimum = Avx512::LoadHalves(halves + 2 * kTile);
#pragma GCC unroll 16
  for (int r = 0; r < kPanelTerms / Terms; ++r) {
    const int n = r * Terms;
    __m512i whole = _mm512_load_si512(products[n]);
    if constexpr (Terms == 2) whole = Avx512::Join(whole, _mm512_load_si512(products[n + 1]));
    const GroupScale& of_row = panel.scales[n];
    y[r] = Avx512::MultiplyAdd(Avx512::ToFloats(whole),
                               Avx512::Multiply(scale, Avx512::BroadcastFloat(&of_row.scale)), y[r]);
    if constexpr (!kSigned) y[r] = Avx512::MultiplyAdd(minimum, Avx512::BroadcastFloat(&of_row.sum), y[r]);
  }
}

inline __m512 LoadOutputs(const LinearTask& t, int row, int output) {
  const int left = t.n - output;
  const __mmask16 mask = left >= kTile ? 0xffff : static_cast<__mmask16>((1 << left) - 1);
  return _mm512_maskz_loadu_ps(mask, t.y + row * t.y_stride + output);
}

// Some groups of a tile: unpacked, and their scales where they are packed.
struct Groups {
  const uint8_t* weights;  // [count, kWeightBytes]
  const uint8_t* halves;   // of the first group; a block from one to the next
  int count;
};

template <bool kSigned, int Terms>
inline void AddGroups(const Groups& groups, const Panel* panel, const uint8_t* ahead, int ahead_bytes,
                      __m512* y) {
  alignas(64) Products products[2];
  const uint8_t* weights = groups.weights;
  const uint8_t* halves = groups.halves;
  MultiplyGroup<kSigned, 0>(*panel, weights, products[0]);
  for (int g = 0; g < groups.count; ++g, ++panel, halves += kBlockBytes<kSigned>) {
    for (int i = 0; i < ahead_bytes; i += 64) __builtin_prefetch(ahead + i);
    ahead += ahead_bytes;
    weights += kWeightBytes;
    const bool more = g + 1 < groups.count;
    if (g % 2 == 0) {
      if (more) MultiplyGroup<kSigned, 1>(panel[1], weights, products[1]);
      AddProducts<kSigned, Terms>(products[0], *panel, halves, y);
    } else {
      if (more) MultiplyGroup<kSigned, 0>(panel[1], weights, products[0]);
      AddProducts<kSigned, Terms>(products[1], *panel, halves, y);
    }
  }
}

// Adds what the rows of a panel left over; `blocks`: the tile's.
template <bool kSigned>
inline void AddRests(const LinearTask& t, const uint8_t* blocks, int panel, __m512* y) {
  alignas(64) uint8_t weights[kWeightBytes];
  alignas(64) Products products;
  const RestPanel* rest = t.rests + static_cast<int64_t>(panel) * t.groups;
  for (const RestPanel* const end = rest + t.rest_counts[panel]; rest != end; ++rest) {
    const uint8_t* const block = blocks + rest->group * kBlockBytes<kSigned>;
    Unpack<kSigned>(block, weights);
    MultiplyGroup<kSigned, 0>(rest->panel, weights, products);
    AddProducts<kSigned, 1>(products, rest->panel, block + kPackedBytes<kSigned>, y);
  }
}

template <bool kSigned, int Terms>
void MultiplyTile(const LinearTask& t, int tile, int panels) {
  constexpr int kRows = kPanelTerms / Terms;
  const uint8_t* const blocks = t.packed + tile * t.groups * kBlockBytes<kSigned>;
  alignas(64) uint8_t weights[kGroupsAtOnce * kWeightBytes];
  for (int first = 0; first < t.groups; first += kGroupsAtOnce) {
    const uint8_t* const from = blocks + first * kBlockBytes<kSigned>;
    const int count = first + kGroupsAtOnce < t.groups ? kGroupsAtOnce : t.groups - first;
    for (int g = 0; g < count; ++g)
      Unpack<kSigned>(from + g * kBlockBytes<kSigned>, weights + g * kWeightBytes);
    const Groups groups = {weights, from + kPackedBytes<kSigned>, count};
    // As many groups of what comes next, in as many parts as there are panels.
    const uint8_t* ahead = from + count * kBlockBytes<kSigned>;
    const int ahead_bytes = static_cast<int>((kBlockBytes<kSigned> + panels - 1) / panels);
    for (int panel = 0; panel < panels; ++panel, ahead += int64_t{ahead_bytes} * count) {
      __m512 y[kRows];
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        y[r] = first == 0 ? _mm512_setzero_ps() : LoadOutputs(t, panel * kRows + r, tile * kTile);
      }
      AddGroups<kSigned, Terms>(groups, t.panels + int64_t{panel} * t.groups + first, ahead, ahead_bytes, y);
      if (Terms == 1 && first + count == t.groups) AddRests<kSigned>(t, blocks, panel, y);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) Store<Avx512>(t, panel * kRows + r, tile * kTile, y[r]);
    }
  }
}

template <bool kSigned, int Terms>
void MultiplyPanels(const LinearTask& t, int panels) {
  ConfigureTiles(kConfig);
  for (int tile = t.tile_begin; tile < t.tile_end; ++tile) MultiplyTile<kSigned, Terms>(t, tile, panels);
  ReleaseTiles();
}

// What is left without the first panels.
LinearTask Later(LinearTask t, int panels) {
  t.terms -= panels * kPanelTerms;
  t.panels += int64_t{panels} * t.groups;
  if (t.terms_per_row == 1) {
    t.rest_counts += panels;
    t.rests += int64_t{panels} * t.groups;
  }
  t.y += panels * (kPanelTerms / t.terms_per_row) * t.y_stride;
  return t;
}

template <bool kSigned>
void MultiplyTermsAmx(const LinearTask& t) {
  const int panels = t.terms / kPanelTerms;
  if (panels > 0) {
    (t.terms_per_row == 1 ? MultiplyPanels<kSigned, 1> : MultiplyPanels<kSigned, 2>)(t, panels);
  }
  if (t.terms % kPanelTerms != 0) (kSigned ? MultiplyQ8Avx512 : MultiplyQ4Avx512)(Later(t, panels));
}

}  // namespace

void MultiplyQ4Amx(const LinearTask& t) { MultiplyTermsAmx<false>(t); }
void MultiplyQ8Amx(const LinearTask& t) { MultiplyTermsAmx<true>(t); }

}  // namespace parley::engine::kernels::internal

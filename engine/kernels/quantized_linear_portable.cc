// The quantised linear layer in plain C++: runs anywhere, and says what the fast variants must give bit for
// bit.
#include <cmath>
#include <cstring>

#include "engine/kernels/half.h"
#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels::internal {
namespace {

float HalfAt(const uint8_t* bytes, int index) {
  uint16_t half;
  std::memcpy(&half, bytes + 2 * index, 2);
  return HalfToFloat(half);
}

// One output's products with one term of a group.
int32_t Q4Products(const uint8_t* block, int o, const int8_t* x) {
  int32_t sum = 0;
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 4; ++i) {
      const uint8_t byte = block[j * 64 + o * 4 + i];
      sum += (byte & 15) * x[4 * j + i] + (byte >> 4) * x[16 + 4 * j + i];
    }
  }
  return sum;
}

int32_t Q8Products(const uint8_t* block, int o, const int8_t* x) {
  int32_t sum = 0;
  for (int k = 0; k < 32; ++k) sum += static_cast<int8_t>(block[k / 4 * 64 + o * 4 + k % 4]) * x[k];
  return sum;
}

// Adds one output's products with one group of a row, whose terms begin at `slot`.
template <bool kSigned>
float AddGroup(const uint8_t* block, int o, const Panel& p, int slot, int terms, float y) {
  int32_t sum = 0;
  for (int term = 0; term < terms; ++term) {
    const int8_t* const x = p.values[slot + term];
    sum = sum * kTermRatio + (kSigned ? Q8Products(block, o, x) : Q4Products(block, o, x));
  }
  y = std::fma(static_cast<float>(sum), HalfAt(block + kPackedBytes<kSigned>, o) * p.scales[slot].scale, y);
  if (!kSigned) y = std::fma(HalfAt(block + kPackedBytes<kSigned> + 2 * kTile, o), p.scales[slot].sum, y);
  return y;
}

template <bool kSigned>
void Multiply(const LinearTask& t) {
  for (int tile = t.tile_begin; tile < t.tile_end; ++tile) {
    const uint8_t* const blocks = t.packed + tile * t.groups * kBlockBytes<kSigned>;
    for (int row = 0; row < t.terms / t.terms_per_row; ++row) {
      const int first = row * t.terms_per_row;  // terms of a row stand in one panel
      const int panel = first / kPanelTerms;
      const int slot = first % kPanelTerms;
      const int64_t places = static_cast<int64_t>(panel) * t.groups;
      for (int o = 0; o < kTile && tile * kTile + o < t.n; ++o) {
        float y = 0;
        for (int g = 0; g < t.groups; ++g) {
          y = AddGroup<kSigned>(blocks + g * kBlockBytes<kSigned>, o, t.panels[places + g], slot,
                                t.terms_per_row, y);
        }
        for (int i = 0; t.terms_per_row == 1 && i < t.rest_counts[panel]; ++i) {
          const RestPanel& rest = t.rests[places + i];
          y = AddGroup<kSigned>(blocks + rest.group * kBlockBytes<kSigned>, o, rest.panel, slot, 1, y);
        }
        t.y[row * t.y_stride + tile * kTile + o] = y;
      }
    }
  }
}

}  // namespace

void MultiplyQ4Portable(const LinearTask& t) { Multiply<false>(t); }
void MultiplyQ8Portable(const LinearTask& t) { Multiply<true>(t); }

}  // namespace parley::engine::kernels::internal

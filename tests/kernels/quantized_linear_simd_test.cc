// The kernel template on a vector unit made of plain arrays, sixteen lanes and eight terms at once: the shape
// that AVX-512 gives it, on whatever processor the tests run.
#include "engine/kernels/quantized_linear_simd.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "engine/kernels/half.h"
#include "engine/kernels/quantized_rows.h"

namespace parley::engine::kernels::internal {
namespace {

struct Arrays {
  using Bytes = std::array<uint8_t, 64>;
  using Sums = std::array<int32_t, 16>;
  using Ints = Sums;
  using Floats = std::array<float, 16>;
  static constexpr int kLanes = 16;
  static constexpr int kTermsAtOnce = 8;
  static constexpr int kTilesAtOnce = 2;

  static Bytes Load(const uint8_t* p) {
    Bytes bytes;
    std::memcpy(bytes.data(), p, bytes.size());
    return bytes;
  }
  template <typename F>
  static Bytes Each(Bytes bytes, F f) {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(f(byte));
    return bytes;
  }
  static Bytes Low(Bytes b) {
    return Each(b, [](uint8_t byte) { return byte & 15; });
  }
  static Bytes High(Bytes b) {
    return Each(b, [](uint8_t byte) { return byte >> 4; });
  }
  static Bytes Signed(Bytes b) {
    return Each(b, [](uint8_t byte) { return byte ^ 0x80; });
  }
  static Bytes Broadcast(const int8_t* x) {
    Bytes bytes;
    for (int lane = 0; lane < 16; ++lane) std::memcpy(bytes.data() + 4 * lane, x, 4);
    return bytes;
  }
  static Sums ZeroSums() { return {}; }
  static void Dot(Sums& sums, Bytes u, Bytes x) {
    for (int i = 0; i < 64; ++i) sums[i / 4] += int{u[i]} * static_cast<int8_t>(x[i]);
  }
  static void DotSigned(Sums& sums, Bytes u, Bytes x, const uint8_t*) { Dot(sums, u, x); }
  static Ints Whole(Sums sums) { return sums; }
  static Ints WholeSigned(Sums sums, int32_t total) {
    for (int32_t& sum : sums) sum -= 128 * total;
    return sums;
  }
  static Ints Join(Ints first, Ints second) {
    for (int i = 0; i < 16; ++i) second[i] += 256 * first[i];
    return second;
  }
  static Floats ToFloats(Ints ints) {
    Floats floats;
    for (int i = 0; i < 16; ++i) floats[i] = static_cast<float>(ints[i]);
    return floats;
  }
  static void Pin(Sums&) {}
  static Floats ZeroFloats() { return {}; }
  static Floats LoadHalves(const uint8_t* p) {
    Floats floats;
    for (int i = 0; i < 16; ++i) {
      uint16_t half;
      std::memcpy(&half, p + 2 * i, 2);
      floats[i] = HalfToFloat(half);
    }
    return floats;
  }
  static Floats BroadcastFloat(const float* p) {
    Floats floats;
    floats.fill(*p);
    return floats;
  }
  static Floats Multiply(Floats a, Floats b) {
    for (int i = 0; i < 16; ++i) a[i] *= b[i];
    return a;
  }
  static Floats MultiplyAdd(Floats a, Floats b, Floats c) {
    for (int i = 0; i < 16; ++i) a[i] = std::fma(a[i], b[i], c[i]);
    return a;
  }
  static void Store(float* p, Floats v) { std::memcpy(p, v.data(), sizeof(v)); }
};

TEST(QuantizedLinearTemplate, GivesThePortableBitsAtSixteenLanes) {
  constexpr int kGroups = 9;
  constexpr int kOutputs = 2 * kTile + 5;
  constexpr int kTiles = 3;
  std::mt19937 random(1);
  for (const bool is_signed : {false, true}) {
    const int block = is_signed ? kQ8BlockBytes : kQ4BlockBytes;
    const int weights = is_signed ? kQ8Bytes : kQ4Bytes;
    std::vector<uint8_t> packed(static_cast<size_t>(kTiles) * kGroups * block);
    for (size_t at = 0; at < packed.size(); at += block) {
      for (int i = 0; i < weights; ++i) packed[at + i] = static_cast<uint8_t>(random());
      for (int i = weights; i < block; i += 2) {
        const uint16_t half = FloatToHalf(0.01f * static_cast<float>(random() % 100) - 0.3f);
        std::memcpy(&packed[at + i], &half, 2);
      }
    }
    for (int terms_per_row : {1, 2}) {
      for (int rows = 1; rows <= 18; ++rows) {
        QuantizedRows quantised;
        quantised.Reset(rows, kGroups * 32, terms_per_row);
        std::vector<float> x(kGroups * 32);
        std::vector<std::set<size_t>> outliers((rows + kPanelTerms - 1) / kPanelTerms);  // groups, by panel
        for (int row = 0; row < rows; ++row) {
          for (float& v : x) v = static_cast<float>(random() % 2001) * 0.01f - 10;
          if (row % 2 == 0) {
            const size_t at = random() % x.size();
            x[at] = 3000;
            outliers[row / kPanelTerms].insert(at / 32);
          }
          quantised.Set(row, x.data(), Isa::kPortable);
        }
        for (size_t panel = 0; terms_per_row == 1 && panel < outliers.size(); ++panel) {
          EXPECT_EQ(quantised.rest_counts(0)[panel], static_cast<int>(outliers[panel].size()));
        }
        std::vector<float> expected(rows * kOutputs, -1), made(rows * kOutputs, -2);
        LinearTask task = {.packed = packed.data(),
                           .groups = kGroups,
                           .n = kOutputs,
                           .tile_begin = 0,
                           .tile_end = kTiles,
                           .panels = quantised.panels(0),
                           .terms = rows * terms_per_row,
                           .terms_per_row = terms_per_row,
                           .rest_counts = quantised.rest_counts(0),
                           .rests = quantised.rests(0),
                           .y = expected.data(),
                           .y_stride = kOutputs};
        (is_signed ? MultiplyQ8Portable : MultiplyQ4Portable)(task);
        task.y = made.data();
        (is_signed ? MultiplyTerms<Arrays, true> : MultiplyTerms<Arrays, false>)(task);
        EXPECT_EQ(made, expected) << rows << " rows of " << terms_per_row;
      }
    }
  }
}

}  // namespace
}  // namespace parley::engine::kernels::internal

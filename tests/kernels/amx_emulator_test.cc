// What the emulator gives is what AMX gives: run on a processor with AMX, the same tests ask the processor.
#include "amx_emulator.h"

#include <gtest/gtest.h>
#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <optional>

#include "engine/kernels/amx_tiles.h"
#include "engine/kernels/cpu_features.h"

namespace parley::engine::kernels {
namespace {

constexpr int kRows = 5;
constexpr int kInputs = 24;
constexpr int kOutputs = 7;

using internal::TileConfig;

constexpr TileConfig kShapes = {
    .row_bytes = {kOutputs * 4, kInputs, kOutputs * 4},
    .rows = {kRows, kRows, kInputs / 4},
};

struct Operands {
  uint8_t a[kRows][kInputs];
  uint8_t b[kInputs / 4][kOutputs][4];
  int32_t c[kRows][kOutputs];
};

Operands Make() {
  Operands made;
  uint32_t state = 1;
  const auto next = [&state] { return state = state * 1664525 + 1013904223; };
  for (auto& row : made.a) {
    for (uint8_t& byte : row) byte = static_cast<uint8_t>(next() >> 24);
  }
  for (auto& row : made.b) {
    for (auto& four : row) {
      for (uint8_t& byte : four) byte = static_cast<uint8_t>(next() >> 24);
    }
  }
  for (auto& row : made.c) {
    for (int32_t& sum : row) sum = static_cast<int32_t>(next());
  }
  return made;
}

// The loads of GCC do not say that they read memory.
void WriteMemory() { asm volatile("" ::: "memory"); }

// By the functions of the kernels.
void MultiplySigned(const TileConfig& config, Operands& x) {
  internal::ConfigureTiles(config);
  internal::LoadTile<0>(x.c, sizeof(x.c[0]));
  internal::LoadTile<1>(x.a, sizeof(x.a[0]));
  internal::LoadTile<2>(x.b, sizeof(x.b[0]));
  internal::DotTiles<true, 0, 1, 2>();
  internal::StoreTile<0>(x.c, sizeof(x.c[0]));
  internal::ReleaseTiles();
}

// By the compiler's.
__attribute__((target("amx-tile,amx-int8"))) void MultiplyOthers(const TileConfig& config, Operands& x) {
  WriteMemory();
  internal::ConfigureTiles(config);
  _tile_zero(0);
  _tile_loadd(1, x.a, sizeof(x.a[0]));
  _tile_stream_loadd(2, x.b, sizeof(x.b[0]));
  _tile_dpbsud(0, 1, 2);
  _tile_dpbusd(0, 1, 2);
  _tile_dpbuud(0, 1, 2);
  _tile_stored(0, x.c, sizeof(x.c[0]));
  _tile_release();
}

int Value(uint8_t byte, bool is_signed) { return is_signed ? static_cast<int8_t>(byte) : byte; }

void Add(const Operands& x, bool a_signed, bool b_signed, int32_t (*c)[kOutputs]) {
  for (int m = 0; m < kRows; ++m) {
    for (int n = 0; n < kOutputs; ++n) {
      uint32_t sum = static_cast<uint32_t>(c[m][n]);
      for (int k = 0; k < kInputs; ++k) {
        sum += static_cast<uint32_t>(Value(x.a[m][k], a_signed) * Value(x.b[k / 4][n][k % 4], b_signed));
      }
      c[m][n] = static_cast<int32_t>(sum);
    }
  }
}

class AmxInstructions : public testing::Test {
 protected:
  AmxInstructions() {
    if (!HasIsa(Isa::kAmx)) emulator_.emplace();
  }

  std::optional<AmxEmulator> emulator_;
};

TEST_F(AmxInstructions, MultiplySignedBytesOntoSums) {
  Operands x = Make();
  int32_t expected[kRows][kOutputs];
  std::memcpy(expected, x.c, sizeof(expected));
  Add(x, true, true, expected);
  MultiplySigned(kShapes, x);
  EXPECT_EQ(std::memcmp(x.c, expected, sizeof(expected)), 0);
}

TEST_F(AmxInstructions, MultiplyBytesOfWhichOneSideOrNoneIsSigned) {
  Operands x = Make();
  int32_t expected[kRows][kOutputs] = {};
  Add(x, true, false, expected);
  Add(x, false, true, expected);
  Add(x, false, false, expected);
  MultiplyOthers(kShapes, x);
  EXPECT_EQ(std::memcmp(x.c, expected, sizeof(expected)), 0);
}

TEST_F(AmxInstructions, AreRefusedWhereShapesDoNotFit) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  Operands x = Make();
  TileConfig other = kShapes;
  other.rows[2] = kInputs / 4 + 1;
  EXPECT_DEATH(MultiplySigned(other, x), "");
  TileConfig reserved = kShapes;
  reserved.reserved[13] = 1;
  EXPECT_DEATH(MultiplySigned(reserved, x), "");
}

}  // namespace
}  // namespace parley::engine::kernels

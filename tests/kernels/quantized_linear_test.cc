#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "amx_emulator.h"
#include "engine/kernels/half.h"
#include "engine/kernels/quantized_rows.h"
#include "engine/kernels/quantized_weights.h"

namespace parley::engine::kernels {
namespace {

struct Shape {
  int n;
  int k;
};

// A GGUF-like matrix of random blocks with its exact float values.
struct RandomMatrix {
  std::vector<uint8_t> bytes;
  std::vector<float> values;  // [n, k]
};

RandomMatrix MakeMatrix(const char* type, Shape shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> scales(0.001f, 0.02f);
  RandomMatrix m;
  auto push_half = [&m](float value) {
    const uint16_t half = FloatToHalf(value);
    m.bytes.push_back(half & 255);
    m.bytes.push_back(half >> 8);
    return HalfToFloat(half);
  };
  for (int block = 0; block < shape.n * shape.k / kGroup; ++block) {
    const float scale = push_half(scales(random));
    float minimum = -8 * scale;
    if (std::strcmp(type, "q4_1") == 0) minimum = push_half(-scales(random) * 7);
    if (std::strcmp(type, "q8_0") == 0) {
      for (int i = 0; i < 32; ++i) {
        m.bytes.push_back(static_cast<uint8_t>(random()));
        m.values.push_back(scale * static_cast<int8_t>(m.bytes.back()));
      }
      continue;
    }
    uint8_t q[16];
    for (uint8_t& byte : q) m.bytes.push_back(byte = static_cast<uint8_t>(random()));
    for (int i = 0; i < 16; ++i) m.values.push_back(scale * (q[i] & 15) + minimum);
    for (int i = 0; i < 16; ++i) m.values.push_back(scale * (q[i] >> 4) + minimum);
  }
  return m;
}

absl::StatusOr<QuantizedWeights> Pack(const char* type, const RandomMatrix& m, Shape shape) {
  if (std::strcmp(type, "q4_0") == 0) return QuantizedWeights::FromQ4_0(m.bytes, shape.n, shape.k);
  if (std::strcmp(type, "q4_1") == 0) return QuantizedWeights::FromQ4_1(m.bytes, shape.n, shape.k);
  return QuantizedWeights::FromQ8_0(m.bytes, shape.n, shape.k);
}

std::vector<float> MakeRows(int rows, int k, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1.5f);
  std::vector<float> x(static_cast<size_t>(rows) * k);
  for (float& v : x) v = normal(random);
  return x;
}

std::vector<float> Multiply(const QuantizedWeights& w, const std::vector<float>& x, int rows, Isa isa,
                            int terms = 1) {
  QuantizedRows quantized;
  quantized.Assign(x.data(), rows, w.inputs(), w.inputs(), terms, isa);
  std::vector<float> y(static_cast<size_t>(rows) * w.outputs(), -1e9f);
  w.Multiply(quantized, 0, w.tiles(), y.data(), w.outputs(), isa);
  return y;
}

class QuantizedLinear : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Formats, QuantizedLinear, testing::Values("q4_0", "q4_1", "q8_0"));

TEST_P(QuantizedLinear, IsCloseToTheExactProduct) {
  const Shape shape = {37, 192};
  const RandomMatrix m = MakeMatrix(GetParam(), shape, 1);
  const auto w = Pack(GetParam(), m, shape);
  ASSERT_TRUE(w.ok()) << w.status();
  const int rows = 5;
  const std::vector<float> x = MakeRows(rows, shape.k, 2);
  const std::vector<float> y = Multiply(*w, x, rows, DetectIsa());
  for (int r = 0; r < rows; ++r) {
    for (int n = 0; n < shape.n; ++n) {
      double exact = 0;
      double magnitude = 0;
      for (int k = 0; k < shape.k; ++k) {
        const double product = static_cast<double>(x[r * shape.k + k]) * m.values[n * shape.k + k];
        exact += product;
        magnitude += product * product;
      }
      EXPECT_NEAR(y[r * shape.n + n], exact, 0.03 * std::sqrt(magnitude) + 1e-4) << r << "," << n;
    }
  }
}

TEST_P(QuantizedLinear, GivesTheSameBitsOnEveryInstructionSet) {
  std::optional<AmxEmulator> emulator;
  if (!HasIsa(Isa::kAmx)) emulator.emplace();
  const auto can_run = [](Isa isa) { return HasIsa(isa == Isa::kAmx ? Isa::kAvx512 : isa); };
  // The last one: of more groups than AMX's kernel unpacks at once.
  for (const Shape shape : {Shape{8, 32}, Shape{41, 576}, Shape{3, 1536}, Shape{64, 256}, Shape{21, 2112}}) {
    const RandomMatrix m = MakeMatrix(GetParam(), shape, shape.n);
    const auto w = Pack(GetParam(), m, shape);
    ASSERT_TRUE(w.ok()) << w.status();
    for (int rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 27}) {
      std::vector<float> x = MakeRows(rows, shape.k, rows);
      for (int row = 0; row < rows; row += 2) x[row * shape.k + row % 32] = 500;  // outliers
      for (int terms : {1, 2}) {
        const std::vector<float> portable = Multiply(*w, x, rows, Isa::kPortable, terms);
        for (Isa isa : {Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kAmx}) {
          if (!can_run(isa)) continue;
          EXPECT_EQ(Multiply(*w, x, rows, isa, terms), portable) << IsaName(isa) << ", " << rows << " rows";
        }
      }
    }
  }
  EXPECT_EQ(AmxEmulator::instructions() > 0, emulator.has_value() && HasIsa(Isa::kAvx512));
}

TEST_P(QuantizedLinear, ARowDoesNotDependOnTheOtherRowsNorOnHowTilesAreSplit) {
  const Shape shape = {43, 320};
  const auto w = Pack(GetParam(), MakeMatrix(GetParam(), shape, 9), shape);
  ASSERT_TRUE(w.ok()) << w.status();
  const int rows = 2 * kRowsTogether + 3;
  std::vector<float> x = MakeRows(rows, shape.k, 10);
  // Outliers: two of one row, one in the same group of its neighbour, and in the next panel.
  for (const int at : {shape.k + 70, shape.k + 300, 2 * shape.k + 75, 18 * shape.k + 10}) x[at] = 500;
  x[4 * shape.k + 5] = std::numeric_limits<float>::quiet_NaN();  // a broken row harms itself at most
  x[4 * shape.k + 40] = std::numeric_limits<float>::infinity();
  const std::vector<float> together = Multiply(*w, x, rows, DetectIsa());
  for (int r = 0; r < rows; ++r) {
    QuantizedRows one;
    one.Assign(x.data() + r * shape.k, 1, shape.k, shape.k);
    std::vector<float> y(shape.n);
    for (int tile = 0; tile < w->tiles(); ++tile) w->Multiply(one, tile, tile + 1, y.data(), shape.n);
    EXPECT_EQ(y, std::vector<float>(together.begin() + r * shape.n, together.begin() + (r + 1) * shape.n));
    for (float v : y) EXPECT_TRUE(std::isfinite(v));
  }
}

TEST_P(QuantizedLinear, KeepsTheNeighboursOfAnOutlier) {
  const Shape shape = {16, 256};
  const RandomMatrix m = MakeMatrix(GetParam(), shape, 4);
  const auto w = Pack(GetParam(), m, shape);
  ASSERT_TRUE(w.ok()) << w.status();
  std::vector<float> x = MakeRows(2, shape.k, 5);
  x[10] = 3000;
  for (const int terms : {1, 2}) {
    const std::vector<float> y = Multiply(*w, x, 2, DetectIsa(), terms);
    for (int r = 0; r < 2; ++r) {
      for (int n = 0; n < shape.n; ++n) {
        double exact = 0;
        for (int k = 0; k < shape.k; ++k) {
          exact += static_cast<double>(x[r * shape.k + k]) * m.values[n * shape.k + k];
        }
        // In 8 bits the outlier's step is 24, and 32 values lose up to half of it.
        const double tolerance = r == 0 ? 1.0 : terms == 1 ? 0.5 : 2e-3;
        EXPECT_NEAR(y[r * shape.n + n], exact, tolerance) << terms << ": " << r << "," << n;
      }
    }
  }
}

TEST(QuantizedLinearShapes, AreCheckedAgainstTheBytes) {
  const std::vector<uint8_t> bytes(20 * 4);
  EXPECT_TRUE(QuantizedWeights::FromQ4_1(bytes, 2, 64).ok());
  EXPECT_EQ(QuantizedWeights::FromQ4_1(bytes, 3, 64).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(QuantizedWeights::FromQ4_1(bytes, 2, 33).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(QuantizedWeights::FromQ4_1(bytes, -2, -64).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(QuantizedFromFloats, KeepsEightBitsOfEveryGroup) {
  const Shape shape = {16, 64};
  const std::vector<float> weights = MakeRows(shape.n, shape.k, 3);
  const auto w = QuantizedWeights::FromFloats(weights, shape.n, shape.k);
  ASSERT_TRUE(w.ok()) << w.status();
  // One-hot rows read single weights back.
  for (int k : {0, 31, 32, 63}) {
    std::vector<float> x(shape.k, 0.0f);
    x[k] = 1;
    const std::vector<float> y = Multiply(*w, x, 1, DetectIsa());
    for (int n = 0; n < shape.n; ++n) EXPECT_NEAR(y[n], weights[n * shape.k + k], 0.03f);
  }
}

TEST(HalfPrecision, RoundTripsEveryFiniteValue) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float value = HalfToFloat(static_cast<uint16_t>(bits));
    if (std::isfinite(value)) {
      EXPECT_EQ(FloatToHalf(value), bits);
    }
  }
}

}  // namespace
}  // namespace parley::engine::kernels

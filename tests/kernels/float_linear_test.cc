#include "engine/kernels/float_linear.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/bf16.h"

namespace parley::engine::kernels {
namespace {

using Storage = FloatLinear::Storage;

std::vector<float> Random(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Whole in bf16, so that both storages hold the same.
std::vector<float> Rounded(std::vector<float> values) {
  for (float& value : values) value = Bf16ToFloat(FloatToBf16(value));
  return values;
}

std::vector<Isa> Isas() {
  std::vector<Isa> isas = {Isa::kPortable};
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    if (HasIsa(isa)) isas.push_back(isa);
  }
  return isas;
}

constexpr int kOutputs = 59, kInputs = 300;

class FloatLinearTest : public testing::TestWithParam<Storage> {
 protected:
  const std::vector<float> weights_ = Rounded(Random(kOutputs * kInputs, 1));
  const std::vector<float> bias_ = Random(kOutputs, 2);
};
INSTANTIATE_TEST_SUITE_P(Storages, FloatLinearTest, testing::Values(Storage::kFp32, Storage::kBf16));

TEST_P(FloatLinearTest, IsTheProductAndTheBias) {
  const FloatLinear linear(weights_, bias_, kOutputs, kInputs, GetParam());
  for (const Isa isa : Isas()) {
    for (const int rows : {1, 2, 3, 4, 5, 8, 11, 17}) {
      const std::vector<float> x = Random(rows * kInputs, 3);
      std::vector<float> y(rows * kOutputs + 1, -7);
      for (int tile = 0; tile < linear.tiles(); tile += 2) {
        linear.ApplyTiles(x.data(), rows, tile, std::min(tile + 2, linear.tiles()), y.data(), kOutputs, isa);
      }
      for (int row = 0; row < rows; ++row) {
        for (int o = 0; o < kOutputs; ++o) {
          double exact = bias_[o];
          for (int k = 0; k < kInputs; ++k) exact += double{x[row * kInputs + k]} * weights_[o * kInputs + k];
          EXPECT_NEAR(y[row * kOutputs + o], exact, 2e-5) << IsaName(isa) << ", " << rows << " rows";
        }
      }
      EXPECT_EQ(y.back(), -7) << "written past the end";
    }
  }
}

TEST_P(FloatLinearTest, ARowIsTheSameBitsWhateverIsBesideItAndHoweverTilesAreSplit) {
  const FloatLinear linear(weights_, bias_, kOutputs, kInputs, GetParam());
  const std::vector<float> x = Random(13 * kInputs, 4);
  for (const Isa isa : Isas()) {
    std::vector<float> together(13 * kOutputs), whole(13 * linear.stride());
    linear.ApplyTiles(x.data(), 13, 0, linear.tiles(), together.data(), kOutputs, isa);
    linear.Apply(x.data(), kInputs, 13, {}, whole.data(), isa);
    for (int row = 0; row < 13; ++row) {
      std::vector<float> alone(kOutputs);
      for (int tile = 0; tile < linear.tiles(); ++tile) {
        linear.ApplyTiles(x.data() + row * kInputs, 1, tile, tile + 1, alone.data(), kOutputs, isa);
      }
      for (int o = 0; o < kOutputs; ++o) {
        ASSERT_EQ(together[row * kOutputs + o], alone[o]) << IsaName(isa) << ", row " << row;
        ASSERT_EQ(whole[row * linear.stride() + o], alone[o]) << IsaName(isa) << ", row " << row;
      }
    }
  }
}

TEST(FloatLinearBf16Test, WeightsAreRoundedToNearest) {
  const std::vector<float> weights = {1.0f + 1.0f / 256, 1.0f + 3.0f / 256};  // halfway: to even
  const FloatLinear linear(weights, {}, 1, 2, Storage::kBf16);
  const float one[] = {1, 0}, other[] = {0, 1};
  float y = 0;
  linear.ApplyTiles(one, 1, 0, 1, &y, 1);
  EXPECT_EQ(y, 1.0f);
  linear.ApplyTiles(other, 1, 0, 1, &y, 1);
  EXPECT_EQ(y, 1.0f + 4.0f / 256);
}

TEST(Bf16Test, RoundTripsEveryHalfAndKeepsWhatIsNotFinite) {
  for (uint32_t half = 0; half <= 0xffff; ++half) {
    const float value = Bf16ToFloat(static_cast<uint16_t>(half));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(Bf16ToFloat(FloatToBf16(value))));
    } else {
      EXPECT_EQ(FloatToBf16(value), half);
    }
  }
  EXPECT_EQ(Bf16ToFloat(FloatToBf16(std::numeric_limits<float>::max())),
            std::numeric_limits<float>::infinity());
}

}  // namespace
}  // namespace parley::engine::kernels

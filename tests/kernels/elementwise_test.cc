#include "engine/kernels/elementwise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace parley::engine::kernels {
namespace {

std::vector<float> Random(int n, uint32_t seed, float spread = 2) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

TEST(RmsNorm, DividesByTheRootMeanSquare) {
  const std::vector<float> x = Random(576, 1);
  const std::vector<float> weight = Random(576, 2);
  std::vector<float> out(576);
  RmsNorm(x.data(), weight.data(), 1e-5f, 576, out.data());
  double squares = 0;
  for (float v : x) squares += static_cast<double>(v) * v;
  for (int i = 0; i < 576; ++i) EXPECT_NEAR(out[i], x[i] / std::sqrt(squares / 576 + 1e-5) * weight[i], 1e-5);
}

TEST(SwiGlu, GatesAndStaysFiniteForAnyGate) {
  std::vector<float> gate = Random(64, 3, 6);
  gate[0] = 500;
  gate[1] = -500;
  gate[2] = 0;
  const std::vector<float> up = Random(64, 4);
  std::vector<float> out(64);
  SwiGlu(gate.data(), up.data(), 64, out.data());
  for (int i = 0; i < 64; ++i) {
    const double exact = gate[i] / (1 + std::exp(-static_cast<double>(gate[i]))) * up[i];
    EXPECT_NEAR(out[i], exact, 1e-5 * (1 + std::fabs(exact))) << gate[i];
  }
}

TEST(Rotate, TurnsPairsByTheirAngle) {
  std::vector<float> x = Random(64, 5);
  const std::vector<float> before = x;
  std::vector<float> cosines(32);
  std::vector<float> sines(32);
  for (int i = 0; i < 32; ++i) {
    cosines[i] = std::cos(0.1f * i);
    sines[i] = std::sin(0.1f * i);
  }
  Rotate(cosines.data(), sines.data(), 64, x.data());
  for (int i = 0; i < 32; ++i) {
    EXPECT_NEAR(x[i], before[i] * cosines[i] - before[i + 32] * sines[i], 1e-6);
    EXPECT_NEAR(x[i + 32], before[i + 32] * cosines[i] + before[i] * sines[i], 1e-6);
  }
}

TEST(LayerNorm, TakesTheMeanOffAndDividesByTheDeviationOfTheValuesBeforeThePadding) {
  for (const int values : {512, 500, 487}) {
    std::vector<float> x = Random(512, 1);
    std::fill(x.begin() + values, x.end(), 0.0f);
    const std::vector<float> weight = Random(512, 2);
    const std::vector<float> bias = Random(512, 3);
    std::vector<float> out(512);
    LayerNorm(x.data(), weight.data(), bias.data(), 1e-5f, values, 512, out.data());
    double mean = 0;
    for (int i = 0; i < values; ++i) mean += x[i] / static_cast<double>(values);
    double variance = 0;
    for (int i = 0; i < values; ++i) variance += (x[i] - mean) * (x[i] - mean) / values;
    for (int i = 0; i < values; ++i) {
      EXPECT_NEAR(out[i], (x[i] - mean) / std::sqrt(variance + 1e-5) * weight[i] + bias[i], 1e-5);
    }
  }
}

TEST(BiasGelu, IsTheExactOneAndStaysFiniteForAnyInput) {
  std::vector<float> x = Random(200, 3, 3);
  const std::vector<float> bias = Random(200, 4);
  x[0] = 500;
  x[1] = -500;
  x[2] = -bias[2];
  std::vector<float> out(200);
  BiasGelu(x.data(), bias.data(), 200, out.data());
  for (int i = 0; i < 200; ++i) {
    const double v = static_cast<double>(x[i]) + bias[i];
    EXPECT_NEAR(out[i], v * 0.5 * std::erfc(-v / std::sqrt(2.0)), 1e-6 * (1 + std::fabs(v))) << v;
  }
}

TEST(Elementwise, GivesTheSameBitsOnEveryInstructionSet) {
  const int n = 200;  // not a whole number of the widest registers
  const std::vector<float> a = Random(n, 6, 5);
  const std::vector<float> b = Random(n, 7);
  const std::vector<float> c = Random(n, 8);
  std::vector<float> padded = a;
  std::fill(padded.end() - 3, padded.end(), 0.0f);
  const auto all = [&](Isa isa) {
    std::vector<std::vector<float>> results(5, std::vector<float>(n));
    RmsNorm(a.data(), b.data(), 1e-6f, n, results[0].data(), isa);
    LayerNorm(padded.data(), b.data(), c.data(), 1e-6f, n - 3, n, results[1].data(), isa);
    SwiGlu(a.data(), b.data(), n, results[2].data(), isa);
    BiasGelu(a.data(), b.data(), n, results[3].data(), isa);
    results[4] = a;
    Rotate(b.data(), b.data() + 96, 192, results[4].data(), isa);
    return results;
  };
  const auto portable = all(Isa::kPortable);
  for (Isa isa : {Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512}) {
    if (!HasIsa(isa)) continue;
    EXPECT_EQ(all(isa), portable) << IsaName(isa);
  }
}

}  // namespace
}  // namespace parley::engine::kernels

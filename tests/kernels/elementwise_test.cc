#include "engine/kernels/elementwise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(Elementwise, GivesTheSameBitsOnEveryInstructionSet) {
  const std::vector<float> a = Random(192, 6, 5);
  const std::vector<float> b = Random(192, 7);
  std::vector<float> fast(192);
  std::vector<float> plain(192);
  RmsNorm(a.data(), b.data(), 1e-6f, 192, fast.data());
  RmsNorm(a.data(), b.data(), 1e-6f, 192, plain.data(), Isa::kPortable);
  EXPECT_EQ(fast, plain);
  SwiGlu(a.data(), b.data(), 192, fast.data());
  SwiGlu(a.data(), b.data(), 192, plain.data(), Isa::kPortable);
  EXPECT_EQ(fast, plain);
  fast = plain = a;
  Rotate(b.data(), b.data() + 96, 192, fast.data());
  Rotate(b.data(), b.data() + 96, 192, plain.data(), Isa::kPortable);
  EXPECT_EQ(fast, plain);
}

}  // namespace
}  // namespace parley::engine::kernels

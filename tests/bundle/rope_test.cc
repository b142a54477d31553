#include "engine/bundle/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace parley::engine::bundle {
namespace {

TEST(RopeTest, FrequenciesFallGeometricallyFromOne) {
  const std::vector<float> frequencies = RopeFrequencies(10'000, 8);
  ASSERT_EQ(frequencies.size(), 4u);
  EXPECT_FLOAT_EQ(frequencies[0], 1);
  EXPECT_FLOAT_EQ(frequencies[1], 0.1f);
  EXPECT_FLOAT_EQ(frequencies[3], 0.001f);
}

TEST(RopeTest, Llama3ScalingKeepsShortWavesAndSlowsLongOnes) {
  std::vector<float> frequencies = {1, 2 * static_cast<float>(M_PI) / 4096, 1e-5f};
  ApplyLlama3Scaling({8, 1, 4, 8192}, frequencies);
  EXPECT_FLOAT_EQ(frequencies[0], 1);
  // 8192 / 4096 = 2 turns lie a third of the way from 1 to 4.
  EXPECT_NEAR(frequencies[1], 2 * M_PI / 4096 * (1.0 / 3 + 2.0 / 3 / 8), 1e-9);
  EXPECT_FLOAT_EQ(frequencies[2], 1e-5f / 8);
}

}  // namespace
}  // namespace parley::engine::bundle

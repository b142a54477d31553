#include "engine/text/largest.h"

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace parley::engine::text {
namespace {

TEST(IndexOfLargestTest, IsTheFirstOfTheLargestWhereverItStands) {
  std::mt19937 random(1);
  for (const size_t size : {1, 2, 15, 16, 17, 1023, 1024, 1025, 5000}) {
    std::vector<float> scores(size);
    for (int round = 0; round < 50; ++round) {
      for (float& score : scores) score = static_cast<float>(random() % 100) - 200;  // many are equal
      const auto largest = std::max_element(scores.begin(), scores.end());
      EXPECT_EQ(IndexOfLargest(scores), static_cast<size_t>(largest - scores.begin())) << size;
      const size_t at = random() % size;
      scores[at] = 7;
      EXPECT_EQ(IndexOfLargest(scores), at) << size;
    }
  }
}

TEST(IndexOfLargestTest, OfImpossibleOnesTakesTheFirst) {
  EXPECT_EQ(IndexOfLargest(std::vector<float>(3000, -std::numeric_limits<float>::infinity())), 0u);
}

TEST(IndexOfLargestTest, StaysWithinScoresThatAreNoNumbers) {
  for (const size_t at : {0, 5, 1999}) {
    std::vector<float> scores(2000, 1);
    scores[at] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_LT(IndexOfLargest(scores), scores.size());
  }
  EXPECT_LT(IndexOfLargest(std::vector<float>(2000, std::numeric_limits<float>::quiet_NaN())), 2000u);
}

}  // namespace
}  // namespace parley::engine::text

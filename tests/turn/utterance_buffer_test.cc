#include "streaming/turn/utterance_buffer.h"

#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<float> Ramp(int start, int count) {
  std::vector<float> samples(count);
  std::iota(samples.begin(), samples.end(), static_cast<float>(start));
  return samples;
}

TEST(UtteranceBufferTest, GivesBackTheSamplesAtTheirIndices) {
  UtteranceBuffer buffer;
  buffer.Reset(1000);
  buffer.Append(Ramp(1000, 10));
  EXPECT_THAT(buffer.Copy(1003, 1006), ElementsAre(1003, 1004, 1005));
}

TEST(UtteranceBufferTest, GivesOnlyWhatItHolds) {
  UtteranceBuffer buffer;
  buffer.Append(Ramp(0, 10));
  buffer.DiscardBefore(8);
  EXPECT_THAT(buffer.Copy(0, 20), ElementsAre(8, 9));
  EXPECT_THAT(buffer.Copy(0, 5), IsEmpty());
  EXPECT_THAT(buffer.Copy(30, 40), IsEmpty());
  EXPECT_THAT(buffer.Copy(9, 2), IsEmpty());
}

TEST(UtteranceBufferTest, DropsNothingByItself) {
  UtteranceBuffer buffer;
  for (int i = 0; i < 100; ++i) buffer.Append(Ramp(i, 1));
  EXPECT_EQ(buffer.begin(), 0);
  buffer.DiscardBefore(95);
  EXPECT_EQ(buffer.begin(), 95);
  EXPECT_EQ(buffer.end(), 100);
  EXPECT_THAT(buffer.Copy(0, 100), ElementsAre(95, 96, 97, 98, 99));
}

TEST(UtteranceBufferTest, DiscardingPastTheEndKeepsTheIndexOfWhatComes) {
  UtteranceBuffer buffer;
  buffer.Append(Ramp(0, 10));
  buffer.DiscardBefore(1000);
  EXPECT_EQ(buffer.begin(), 10);
  EXPECT_EQ(buffer.end(), 10);
  buffer.Append(Ramp(10, 2));
  EXPECT_THAT(buffer.Copy(0, 100), ElementsAre(10, 11));
}

}  // namespace
}  // namespace parley::streaming

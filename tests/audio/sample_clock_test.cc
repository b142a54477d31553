#include "streaming/audio/sample_clock.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace parley::streaming {
namespace {

constexpr uint64_t kMaxGap = 1'000;

// Places a chunk that must be taken, and takes it.
SampleClock::Placement Take(SampleClock& clock, uint64_t first, uint64_t count) {
  const auto placement = clock.Place(first, count);
  EXPECT_TRUE(placement.ok()) << placement.status();
  clock.Advance(first, count);
  return placement.value_or(SampleClock::Placement{});
}

TEST(SampleClockTest, AudioStartsAtTheFirstIndexWhateverItIs) {
  for (const uint64_t first : {uint64_t{0}, uint64_t{7}, uint64_t{1} << 59}) {
    SampleClock clock(kMaxGap);
    const auto placement = Take(clock, first, 10);
    EXPECT_TRUE(placement.starts);
    EXPECT_EQ(placement.gap, 0u);
    EXPECT_EQ(placement.repeated, 0u);
    EXPECT_EQ(clock.next(), first + 10);
  }
}

TEST(SampleClockTest, ChunksInOrderLeaveNothingOut) {
  SampleClock clock(kMaxGap);
  Take(clock, 100, 10);
  const auto placement = Take(clock, 110, 10);
  EXPECT_FALSE(placement.starts);
  EXPECT_EQ(placement.gap, 0u);
  EXPECT_EQ(placement.repeated, 0u);
}

TEST(SampleClockTest, AGapIsMeasuredAndOneOverTheLimitRefused) {
  SampleClock clock(kMaxGap);
  Take(clock, 0, 10);
  EXPECT_EQ(clock.Place(10 + kMaxGap + 1, 10).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Take(clock, 10 + kMaxGap, 10).gap, kMaxGap);
  EXPECT_EQ(clock.next(), 20 + kMaxGap);
}

TEST(SampleClockTest, WhatWasHeardAlreadyIsCounted) {
  SampleClock clock(kMaxGap);
  Take(clock, 100, 50);
  EXPECT_EQ(clock.Place(140, 20)->repeated, 10u);
  EXPECT_EQ(clock.Place(120, 20)->repeated, 20u);
  EXPECT_EQ(clock.Place(0, 20)->repeated, 20u);
  Take(clock, 0, 20);
  EXPECT_EQ(clock.next(), 150u);  // a late chunk does not move the clock back
}

TEST(SampleClockTest, ARefusedChunkMovesNothing) {
  SampleClock clock(kMaxGap);
  Take(clock, 0, 10);
  EXPECT_FALSE(clock.Place(1'000'000, 10).ok());
  EXPECT_EQ(clock.Place(10, 10)->gap, 0u);
}

TEST(SampleClockTest, AfterAPauseAnyJumpForwardStartsAudioAgain) {
  SampleClock clock(kMaxGap);
  Take(clock, 0, 10);
  clock.Pause();
  EXPECT_EQ(clock.Place(20, 10)->gap, 10u);  // a short one is a gap still
  EXPECT_TRUE(clock.Place(1'000'000, 10)->starts);
  EXPECT_EQ(clock.Place(0, 10)->repeated, 10u);
  EXPECT_TRUE(Take(clock, 1'000'000, 10).starts);
  EXPECT_FALSE(clock.Place(2'000'000, 10).ok());  // the pause is over
}

TEST(SampleClockTest, IndicesNearTheEndOfTheirTypeNeverWrap) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  for (const bool started : {false, true}) {
    SampleClock clock(kMax);  // no gap is too long
    if (started) Take(clock, 0, 10);
    for (const uint64_t first : {kMax, kMax - 1, kMax - 9, uint64_t{1} << 63, SampleClock::kMaxIndex + 1}) {
      EXPECT_EQ(clock.Place(first, 10).status().code(), absl::StatusCode::kOutOfRange) << first;
    }
    EXPECT_FALSE(clock.Place(SampleClock::kMaxIndex, 1).ok());
    EXPECT_FALSE(clock.Place(5, kMax).ok());
    EXPECT_TRUE(clock.Place(SampleClock::kMaxIndex - 10, 10).ok());
  }
}

TEST(SampleClockTest, EverySampleIsTakenOnceInAnyOrderOfChunks) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    SampleClock clock(kMaxGap);
    const uint64_t start = random() % 5'000;
    Take(clock, start, 1 + random() % 100);
    uint64_t filled = clock.next() - start;
    for (int i = 0; i < 100; ++i) {
      const uint64_t first = random() % 3 == 0 ? random() : clock.next() + random() % 2'500 - 1'000;
      const uint64_t count = 1 + random() % 500;
      const auto placement = clock.Place(first, count);
      if (!placement.ok()) continue;
      EXPECT_TRUE(placement->gap == 0 || placement->repeated == 0);
      EXPECT_LE(placement->repeated, count);
      clock.Advance(first, count);
      filled += placement->gap + count - placement->repeated;
      EXPECT_EQ(clock.next(), start + filled);
    }
  }
}

TEST(ConvertSampleIndexTest, IsExactUpToTheHighestIndex) {
  EXPECT_EQ(ConvertSampleIndex(48'000, 48'000, 16'000), 16'000u);
  EXPECT_EQ(ConvertSampleIndex(1, 48'000, 16'000), 0u);
  EXPECT_EQ(ConvertSampleIndex(2, 48'000, 16'000), 1u);
  EXPECT_EQ(ConvertSampleIndex(44'100 * 3'600ull, 44'100, 16'000), 16'000 * 3'600ull);
  EXPECT_EQ(ConvertSampleIndex(SampleClock::kMaxIndex, 8'000, 48'000), SampleClock::kMaxIndex * 6);
  EXPECT_EQ(ConvertSampleIndex(SampleClock::kMaxIndex, 16'000, 16'000), SampleClock::kMaxIndex);
}

}  // namespace
}  // namespace parley::streaming

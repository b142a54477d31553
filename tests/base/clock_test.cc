#include "base/clock.h"

#include <gtest/gtest.h>

namespace parley {
namespace {

TEST(ClockTest, TheRealClockNeverGoesBackwards) {
  absl::Time last = Clock::Real()->Now();
  for (int i = 0; i < 1000; ++i) {
    const absl::Time now = Clock::Real()->Now();
    EXPECT_GE(now, last);
    last = now;
  }
}

TEST(ClockTest, ASimulatedClockStandsStillUntilMoved) {
  SimulatedClock clock(absl::FromUnixSeconds(100));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100));
  clock.Advance(absl::Milliseconds(250));
  EXPECT_EQ(clock.Now(), absl::FromUnixMillis(100'250));
}

}  // namespace
}  // namespace parley

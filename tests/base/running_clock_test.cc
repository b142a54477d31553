#include "base/running_clock.h"

#include <gtest/gtest.h>

namespace parley {
namespace {

TEST(RunningClockTest, GoesWithTheClockBelowItWhileItIsReadOften) {
  SimulatedClock machine;
  const RunningClock clock(&machine);
  for (int i = 0; i < 100; ++i) {
    machine.Advance(absl::Milliseconds(100));
    EXPECT_EQ(clock.Now(), machine.Now());
  }
}

TEST(RunningClockTest, LeavesOutATimeInWhichNobodyReadIt) {
  SimulatedClock machine;
  const RunningClock clock(&machine);
  const absl::Time before = clock.Now();
  machine.Advance(absl::Hours(1));
  EXPECT_EQ(clock.Now() - before, RunningClock::kLongestStep);
  machine.Advance(absl::Milliseconds(200));
  EXPECT_EQ(clock.Now() - before, RunningClock::kLongestStep + absl::Milliseconds(200));
  EXPECT_EQ(clock.MachineTime(), machine.Now());
}

}  // namespace
}  // namespace parley

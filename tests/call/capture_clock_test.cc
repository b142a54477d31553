#include "streaming/call/capture_clock.h"

#include <gtest/gtest.h>

#include <limits>

namespace parley::streaming {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

absl::Time At(int ms) { return kStart + absl::Milliseconds(ms); }
// A client's clock that began 5 s before the call.
uint64_t Us(int ms) { return (5'000 + ms) * uint64_t{1'000}; }

TEST(CaptureClock, TheQuickestMessageIsHeldToHaveComeAtOnce) {
  CaptureClock clock;
  EXPECT_EQ(clock.Place(Us(0), At(80)), At(80));
  EXPECT_EQ(clock.Place(Us(20), At(90)), At(90));    // quicker by 10 ms: it sets the measure
  EXPECT_EQ(clock.Place(Us(40), At(260)), At(110));  // 150 ms late
  EXPECT_EQ(clock.Place(Us(60), At(260)), At(130));
}

TEST(CaptureClock, ContentOfADeviceThatIsSlowIsOlderThanWhatCameWithIt) {
  CaptureClock clock;
  clock.Place(Us(100), At(110));                    // sound
  EXPECT_EQ(clock.Place(Us(40), At(110)), At(50));  // a picture that took 60 ms to make
}

TEST(CaptureClock, NotKnownStaysNotKnown) {
  CaptureClock clock;
  EXPECT_EQ(clock.Place(0, At(0)), absl::InfinitePast());
  EXPECT_EQ(clock.Place(Us(0), At(0)), At(0));
  EXPECT_EQ(clock.Place(0, At(0)), absl::InfinitePast());
}

// 100 parts in a million, an hour: 360 ms that a fixed measure would count as delay, or as none.
TEST(CaptureClock, ClocksThatDriftAreFollowed) {
  for (const double rate : {1.0001, 0.9999}) {
    CaptureClock clock;
    for (int ms = 0; ms < 3'600'000; ms += 20) {
      const absl::Time arrival = kStart + rate * absl::Milliseconds(ms);
      ASSERT_LE(arrival - clock.Place(Us(ms), arrival), absl::Milliseconds(7)) << ms;
    }
  }
}

TEST(CaptureClock, APauseForgetsTheMeasure) {
  CaptureClock clock;
  clock.Place(Us(0), At(0));
  EXPECT_EQ(clock.Place(Us(100'000), At(100'500)), At(100'500));
}

TEST(CaptureClock, AnyValueIsSafeAndNoCaptureIsInTheFuture) {
  CaptureClock clock;
  for (const uint64_t value : {uint64_t{1}, std::numeric_limits<uint64_t>::max(), uint64_t{1} << 63,
                               uint64_t{1} << 62, Us(0), uint64_t{2}}) {
    EXPECT_LE(clock.Place(value, At(0)), At(0));
  }
}

}  // namespace
}  // namespace parley::streaming

#include "streaming/call/capture_clock.h"

#include <algorithm>
#include <limits>

namespace parley::streaming {

absl::Time CaptureClock::Place(uint64_t capture_time_us, absl::Time arrival) {
  if (capture_time_us == 0) return absl::InfinitePast();
  if (arrival >= window_end_) {
    last_window_ = arrival < window_end_ + kWindow ? this_window_ : absl::InfiniteDuration();
    this_window_ = absl::InfiniteDuration();
    window_end_ = arrival + kWindow;
  }
  const auto capture_us =
      static_cast<int64_t>(std::min<uint64_t>(capture_time_us, std::numeric_limits<int64_t>::max()));
  const absl::Duration behind = (arrival - absl::UnixEpoch()) - absl::Microseconds(capture_us);
  this_window_ = std::min(this_window_, behind);
  return arrival - (behind - std::min(this_window_, last_window_));
}

}  // namespace parley::streaming

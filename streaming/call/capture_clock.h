// Places what a client says about the time of capture on the server's clock, without knowing how the two
// clocks differ: of the messages of the last kWindow or two, the one that came soonest after its
// capture is held to have come at once. Ages that follow from it therefore leave out the connection's
// smallest delay, and hold what a user can lose in front of the model: jitter, a connection that is too slow,
// a server that reads late or has no time. Clocks that drift apart are followed, since the window moves.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace parley::streaming {

// Not thread-safe: used by the one thread at a time that reads a call's messages.
class CaptureClock {
 public:
  static constexpr absl::Duration kWindow = absl::Seconds(30);

  // When a message that came at `arrival` was captured, never later than that. `capture_time_us`: any clock
  // of the client that runs evenly; 0: not known, InfinitePast. Any value is safe.
  absl::Time Place(uint64_t capture_time_us, absl::Time arrival);

 private:
  // Arrival less capture, the smallest there was; two windows, so that there is always a whole one.
  absl::Duration this_window_ = absl::InfiniteDuration();
  absl::Duration last_window_ = absl::InfiniteDuration();
  absl::Time window_end_ = absl::InfinitePast();
};

}  // namespace parley::streaming

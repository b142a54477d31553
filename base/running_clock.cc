#include "base/running_clock.h"

#include <algorithm>
#include <utility>

namespace parley {

absl::Time RunningClock::Now() const {
  absl::MutexLock lock(&mutex_);
  // Read under the lock: a thread that is stopped between the two would take time back.
  const absl::Time now = clock_->Now();
  now_ += std::min(now - std::exchange(last_, now), kLongestStep);
  return now_;
}

}  // namespace parley

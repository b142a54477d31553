// Time, injected. Everything that measures or waits takes a Clock, so that tests run in simulated time.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace parley {

// Thread-safe. Never goes backwards.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
  // The same moment on the machine's clock, for what is compared with the clocks of others. A clock whose Now
  // leaves time out (see RunningClock) falls behind it.
  virtual absl::Time MachineTime() const { return Now(); }

  // The machine's monotonic clock, set once at start to the wall clock. Never deleted.
  static const Clock* Real();
};

// Stands still until a test moves it.
class SimulatedClock : public Clock {
 public:
  explicit SimulatedClock(absl::Time start = absl::FromUnixSeconds(1'700'000'000)) : now_(start) {}

  absl::Time Now() const override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mutex_);
    now_ += duration;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley

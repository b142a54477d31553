// The time for which this process has been running.
//
// A process that is stopped (SIGSTOP, a paused container, a suspended virtual machine) finds, when it goes
// on, that every deadline within the pause is over, though nobody has missed one: what the others did
// meanwhile waits to be read, and what this process owed it could not do. A pause is seen by its length
// alone: whoever reads the clock reads it many times a second, so that between two readings of a process that
// runs little time passes.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace parley {

// Thread-safe. Goes on from one reading to the next by what the clock below it did, but by kLongestStep at
// most. Some thread reads it every kLongestStep / 4 or more often: else it is slow.
class RunningClock : public Clock {
 public:
  static constexpr absl::Duration kLongestStep = absl::Milliseconds(500);

  // `clock` outlives it.
  explicit RunningClock(const Clock* clock) : clock_(clock), last_(clock->Now()), now_(last_) {}

  absl::Time Now() const override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Time MachineTime() const override { return clock_->MachineTime(); }

 private:
  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  mutable absl::Time last_ ABSL_GUARDED_BY(mutex_);  // of the clock below, when it was read last
  mutable absl::Time now_ ABSL_GUARDED_BY(mutex_);   // of this one, then
};

}  // namespace parley

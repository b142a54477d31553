#include "engine/fake/fake_work.h"

#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace parley::engine {

absl::Status FakeWork::Do(absl::Duration cost, absl::Status FakeFaults::*fault) {
  if (cost > absl::ZeroDuration()) {
    if (simulated_ != nullptr) {
      simulated_->Advance(cost);
    } else {
      absl::SleepFor(cost);
    }
  }
  FakeFaults* const faults = faults_.get();
  if (faults == nullptr) return absl::OkStatus();
  absl::MutexLock lock(&faults->mutex_);
  faults->mutex_.Await(absl::Condition(
      +[](FakeFaults* f) ABSL_NO_THREAD_SAFETY_ANALYSIS { return !f->stalled_; }, faults));
  return std::exchange(faults->*fault, absl::OkStatus());
}

FakeWork::FailingPrompt FakeWork::failing_prompt() const {
  FakeFaults* const faults = faults_.get();
  if (faults == nullptr) return {};
  absl::MutexLock lock(&faults->mutex_);
  return {faults->holding_, faults->holding_status_};
}

}  // namespace parley::engine

#include "base/clock.h"

#include <chrono>

namespace parley {
namespace {

class RealClock : public Clock {
 public:
  absl::Time Now() const override {
    return start_wall_ + absl::FromChrono(std::chrono::steady_clock::now() - start_);
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const absl::Time start_wall_ = absl::Now();
};

}  // namespace

const Clock* Clock::Real() {
  static const Clock* const clock = new RealClock;
  return clock;
}

}  // namespace parley

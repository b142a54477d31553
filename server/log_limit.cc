#include "server/log_limit.h"

#include <algorithm>
#include <utility>

namespace parley::server {

bool LogLimiter::Take(std::string_view kind, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  auto found = kinds_.find(kind);
  if (found == kinds_.end()) {
    found = kinds_.emplace(std::string(kind), Kind{.lines = limits_.burst, .filled_at = now}).first;
  }
  Kind& of = found->second;
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - of.filled_at));
  of.lines = std::min(limits_.burst, of.lines + seconds * limits_.per_second);
  of.filled_at = std::max(of.filled_at, now);
  if (of.lines >= 1) {
    of.lines -= 1;
    return true;
  }
  if (of.left_out == 0) of.left_out_since = now;
  of.left_out_last = now;
  ++of.left_out;
  ++left_out_;
  return false;
}

std::vector<LogLimiter::LeftOut> LogLimiter::Due(absl::Time now) {
  std::vector<LeftOut> due;
  absl::MutexLock lock(&mutex_);
  for (auto& [kind, of] : kinds_) {
    if (of.left_out == 0 || now - of.left_out_since < limits_.summary_after) continue;
    due.push_back({kind, std::exchange(of.left_out, 0), of.left_out_last - of.left_out_since});
  }
  return due;
}

int64_t LogLimiter::left_out() const {
  absl::MutexLock lock(&mutex_);
  return left_out_;
}

}  // namespace parley::server

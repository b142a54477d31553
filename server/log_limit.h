// Which log lines are written where one kind of event comes in floods: what strangers do must not fill a
// disk.
//
// Policy: a kind may have `burst` lines at once and `per_second` on average. Lines over that are left out and
// counted, and the count is due `summary_after` after the first of them: one line then stands for them all.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace parley::server {

struct LogLimits {
  double burst = 100;  // lines
  double per_second = 10;
  absl::Duration summary_after = absl::Seconds(10);
};

// Thread-safe.
class LogLimiter {
 public:
  explicit LogLimiter(LogLimits limits) : limits_(limits) {}

  // Whether a line of this kind is written. `kind` is of the program's text, never of a client's: each is
  // kept.
  bool Take(std::string_view kind, absl::Time now);

  struct LeftOut {
    std::string kind;
    int64_t lines = 0;
    absl::Duration over;  // since the first of them
  };
  // What is to be told now, once; InfiniteFuture: all that there is.
  std::vector<LeftOut> Due(absl::Time now);
  int64_t left_out() const;  // lines, since the start

 private:
  struct Kind {
    double lines = 0;  // that may come now
    absl::Time filled_at;
    int64_t left_out = 0;
    absl::Time left_out_since;
    absl::Time left_out_last;
  };

  const LogLimits limits_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Kind, std::less<>> kinds_ ABSL_GUARDED_BY(mutex_);
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace parley::server

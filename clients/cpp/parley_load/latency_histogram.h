// Durations counted in buckets of constant relative width (after Gil Tene's HDR Histogram): any quantile to
// within 1 %, from a microsecond to hours, in a few kilobytes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace parley::client {

// Not thread-safe.
class LatencyHistogram {
 public:
  LatencyHistogram();

  // Negative durations count as zero, those over kLongest as kLongest.
  void Record(absl::Duration duration);
  void Merge(const LatencyHistogram& other);

  int64_t count() const { return count_; }
  absl::Duration max() const { return absl::Microseconds(max_us_); }
  absl::Duration mean() const;
  // The duration that a share `quantile` (0 to 1) of those recorded does not exceed: the upper edge of its
  // bucket, never over max(). Zero when nothing was recorded.
  absl::Duration Quantile(double quantile) const;

  static constexpr absl::Duration kLongest = absl::Hours(1);

 private:
  // Up to 2^kFineBits us every microsecond has a bucket; above, each doubling has 2^(kFineBits - 1).
  static constexpr int kFineBits = 8;
  static int BucketOf(int64_t us);
  static int64_t UpperEdge(int bucket);

  std::vector<int64_t> buckets_;
  int64_t count_ = 0;
  int64_t max_us_ = 0;
  double sum_us_ = 0;
};

}  // namespace parley::client

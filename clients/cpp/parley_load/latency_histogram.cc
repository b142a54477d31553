#include "clients/cpp/parley_load/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace parley::client {

LatencyHistogram::LatencyHistogram() : buckets_(BucketOf(absl::ToInt64Microseconds(kLongest)) + 1) {}

int LatencyHistogram::BucketOf(int64_t us) {
  constexpr int64_t kFine = 1 << kFineBits;
  if (us < kFine) return static_cast<int>(us);
  const int doublings = std::bit_width(static_cast<uint64_t>(us)) - kFineBits;  // at least 1
  const int within = static_cast<int>(us >> doublings) - kFine / 2;
  return static_cast<int>(kFine) + (doublings - 1) * (kFine / 2) + within;
}

int64_t LatencyHistogram::UpperEdge(int bucket) {
  constexpr int kFine = 1 << kFineBits;
  if (bucket < kFine) return bucket;
  const int doublings = (bucket - kFine) / (kFine / 2) + 1;
  const int64_t within = (bucket - kFine) % (kFine / 2) + kFine / 2;
  return ((within + 1) << doublings) - 1;
}

void LatencyHistogram::Record(absl::Duration duration) {
  const int64_t us =
      absl::ToInt64Microseconds(std::clamp(duration, absl::ZeroDuration(), absl::Duration(kLongest)));
  ++buckets_[BucketOf(us)];
  ++count_;
  max_us_ = std::max(max_us_, us);
  sum_us_ += static_cast<double>(us);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_us_ = std::max(max_us_, other.max_us_);
  sum_us_ += other.sum_us_;
}

absl::Duration LatencyHistogram::mean() const {
  return count_ == 0 ? absl::ZeroDuration() : absl::Microseconds(sum_us_ / static_cast<double>(count_));
}

absl::Duration LatencyHistogram::Quantile(double quantile) const {
  if (count_ == 0) return absl::ZeroDuration();
  const auto rank =
      std::clamp<int64_t>(std::llround(std::ceil(quantile * static_cast<double>(count_))), 1, count_);
  int64_t seen = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank) return absl::Microseconds(std::min(UpperEdge(static_cast<int>(bucket)), max_us_));
  }
  return max();
}

}  // namespace parley::client

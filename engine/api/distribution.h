// Counts of values by size, in fixed buckets: what a histogram of /metrics is made of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace parley::engine {

// Not thread-safe.
class Distribution {
 public:
  // The buckets' upper bounds, rising. One more bucket takes what is above them all.
  explicit Distribution(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1, 0) {}

  void Add(double value) {
    ++counts_[std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin()];
    sum_ += value;
    ++count_;
  }

  const std::vector<double>& bounds() const { return bounds_; }
  const std::vector<int64_t>& counts() const { return counts_; }  // by bucket, each value in one
  int64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<int64_t> counts_;
  int64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace parley::engine

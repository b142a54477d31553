// The audio a call may still need: from the earliest sample a turn can begin with, up to now.
//
// Policy: the owner says what is no longer needed (DiscardBefore); past `capacity` the oldest samples go, so
// that a turn that nobody ends cannot grow without bound. Endpointing keeps a turn shorter than that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace parley::streaming {

// Sample indices count at engine::kSampleRateHz. Not thread-safe: used by one strand.
class UtteranceBuffer {
 public:
  explicit UtteranceBuffer(int64_t capacity_samples) : capacity_(capacity_samples) {}

  // Index of the first sample held, and of the next one to come.
  int64_t begin() const { return begin_; }
  int64_t end() const { return begin_ + size(); }

  void set_capacity(int64_t samples);
  void Append(absl::Span<const float> samples);
  void DiscardBefore(int64_t sample);
  // The samples of [start, end) that are held.
  std::vector<float> Copy(int64_t start, int64_t end) const;
  // Forgets everything; the next sample has this index.
  void Reset(int64_t next_sample);

 private:
  int64_t size() const { return static_cast<int64_t>(samples_.size() - offset_); }

  int64_t capacity_;
  int64_t begin_ = 0;
  std::vector<float> samples_;
  size_t offset_ = 0;  // samples_[offset_] has index begin_; what is before it is garbage
};

}  // namespace parley::streaming

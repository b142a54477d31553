// The audio a call may still need: from the earliest sample a turn can begin with, up to now.
//
// Bounded by its owner, who says what is no longer needed (DiscardBefore): a turn has a longest length, and
// what waits to be judged is bounded before it gets here (CallLimits::max_audio_backlog_ms).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace parley::streaming {

// Sample indices count at engine::kSampleRateHz. Not thread-safe: used by one strand.
class UtteranceBuffer {
 public:
  // Index of the first sample held, and of the next one to come.
  int64_t begin() const { return begin_; }
  int64_t end() const { return begin_ + size(); }

  void Append(absl::Span<const float> samples);
  void DiscardBefore(int64_t sample);
  // The samples of [start, end) that are held.
  std::vector<float> Copy(int64_t start, int64_t end) const;
  // Forgets everything; the next sample has this index.
  void Reset(int64_t next_sample);

 private:
  int64_t size() const { return static_cast<int64_t>(samples_.size() - offset_); }

  int64_t begin_ = 0;
  std::vector<float> samples_;
  size_t offset_ = 0;  // samples_[offset_] has index begin_; what is before it is garbage
};

}  // namespace parley::streaming

#include "streaming/turn/utterance_buffer.h"

#include <algorithm>

namespace parley::streaming {

void UtteranceBuffer::Append(absl::Span<const float> samples) {
  samples_.insert(samples_.end(), samples.begin(), samples.end());
}

void UtteranceBuffer::DiscardBefore(int64_t sample) {
  const int64_t discard = std::min(sample, end()) - begin_;
  if (discard <= 0) return;
  begin_ += discard;
  offset_ += static_cast<size_t>(discard);
  // Moved only when most of it is garbage: each sample is moved at most once on average.
  if (offset_ * 2 > samples_.size()) {
    samples_.erase(samples_.begin(), samples_.begin() + static_cast<std::ptrdiff_t>(offset_));
    offset_ = 0;
  }
}

std::vector<float> UtteranceBuffer::Copy(int64_t start, int64_t end) const {
  start = std::clamp(start, begin_, this->end());
  end = std::clamp(end, start, this->end());
  const auto first = samples_.begin() + static_cast<std::ptrdiff_t>(offset_) + (start - begin_);
  return std::vector<float>(first, first + (end - start));
}

void UtteranceBuffer::Reset(int64_t next_sample) {
  samples_.clear();
  offset_ = 0;
  begin_ = next_sample;
}

}  // namespace parley::streaming

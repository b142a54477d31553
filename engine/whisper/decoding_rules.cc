#include "engine/whisper/decoding_rules.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>

#include "engine/text/largest.h"

namespace parley::engine::whisper {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
// The first words of a window begin within its first second.
constexpr int kFirstTimestamps = 51;

float LogSumExp(absl::Span<const float> values) {
  const float largest = *std::max_element(values.begin(), values.end());
  if (largest == kNever) return kNever;
  double sum = 0;
  for (const float value : values) sum += std::exp(value - largest);
  return largest + static_cast<float>(std::log(sum));
}

}  // namespace

DecodingRules::DecodingRules(const Config& config, const SpecialTokens& tokens)
    : tokens_(tokens), suppressed_(config.suppressed), suppressed_at_begin_(config.suppressed_at_begin) {
  suppressed_.push_back(tokens.no_timestamps);
  // Whatever the file suppresses, text must be able to end.
  std::erase(suppressed_, tokens.end);
}

void DecodingRules::Apply(absl::Span<const TokenId> written, int timestamps, absl::Span<float> logits) const {
  const auto size = static_cast<TokenId>(logits.size());
  const TokenId first_timestamp = tokens_.first_timestamp;
  const auto forbid = [&](TokenId begin, TokenId end) {
    if (begin < end)
      std::fill(logits.begin() + std::min(begin, size), logits.begin() + std::min(end, size), kNever);
  };
  const auto is_timestamp = [&](TokenId id) { return id >= first_timestamp; };

  for (const TokenId id : suppressed_) forbid(id, id + 1);
  forbid(first_timestamp + timestamps, size);
  if (written.empty()) {
    for (const TokenId id : suppressed_at_begin_) forbid(id, id + 1);
    forbid(0, first_timestamp);
    forbid(first_timestamp + kFirstTimestamps, size);
    return;
  }

  const bool after_timestamp = is_timestamp(written.back());
  const bool segment_begins =
      after_timestamp && (written.size() == 1 || is_timestamp(written[written.size() - 2]));
  if (segment_begins) {
    forbid(first_timestamp, size);
  } else if (after_timestamp) {
    forbid(0, tokens_.end);
  }
  const auto last = std::find_if(written.rbegin(), written.rend(), is_timestamp);
  if (last != written.rend()) {
    // A segment may begin where the one before it ended, but has to last.
    const bool may_repeat = after_timestamp && !segment_begins;
    forbid(first_timestamp, *last + (may_repeat ? 0 : 1));
  }
  std::vector<TokenId> text;
  std::copy_if(written.begin(), written.end(), std::back_inserter(text), std::not_fn(is_timestamp));
  if (const TokenId loop = LoopContinuation(text); loop >= 0) forbid(loop, loop + 1);
  // When a timestamp is likelier than any one word, it is a timestamp.
  const float any_timestamp = LogSumExp(logits.subspan(first_timestamp));
  const float best_text = logits[text::IndexOfLargest(logits.first(first_timestamp))];
  if (any_timestamp > best_text) forbid(0, first_timestamp);
}

namespace {

// So many of the last tokens are as those one period before them.
int SameAsBefore(absl::Span<const TokenId> text, int period) {
  const int size = static_cast<int>(text.size());
  int same = 0;
  while (same + period < size && text[size - 1 - same] == text[size - 1 - same - period]) ++same;
  return same;
}

}  // namespace

int RepeatedTail(absl::Span<const TokenId> text) {
  for (int period = 1; period * 3 <= static_cast<int>(text.size()); ++period) {
    const int repeated = SameAsBefore(text, period) / period * period;
    if (repeated >= 2 * period) return repeated;
  }
  return 0;
}

TokenId LoopContinuation(absl::Span<const TokenId> text) {
  const int size = static_cast<int>(text.size());
  for (int period = 1; period * kMostRepeats <= size; ++period) {
    const int tokens = SameAsBefore(text, period) + period;
    if (tokens >= period * kMostRepeats && tokens >= kLoopTokens) return text[size - period];
  }
  return -1;
}

}  // namespace parley::engine::whisper

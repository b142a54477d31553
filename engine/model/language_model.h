// A decoder-only language model as the runtime drives it: sequences of tokens in, scores out. engine/cpu and
// engine/torch implement it.
//
// Called by one thread at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/schedule/page_table.h"
#include "engine/text/token.h"

namespace parley::engine {

// One conversation's KV cache.
//
// A token has the position that it was appended at, whatever is forgotten before it. In a paged cache tokens
// fill one page after the other; a new one begins where the caller says so (page starts) and after a
// forgotten range. Scores depend on the tokens held, their positions and the page starts, bit for bit on
// nothing else.
class Sequence {
 public:
  virtual ~Sequence() = default;
  // The next token's position: tokens held, and tokens forgotten.
  virtual int length() const = 0;
  // Drops the tokens from position `length` on. REQUIRES: 0 <= length <= length(), and not inside a forgotten
  // range.
  virtual void Truncate(int length) = 0;
  // Forgets the tokens at positions [begin, end), which later tokens then no longer see; nothing is computed
  // again. REQUIRES: they are held, a page started at `begin`, and one starts at `end`.
  virtual void Forget(int begin, int end) = 0;
  // Another sequence that holds the same. Pages are shared until one of the two writes into them.
  virtual std::unique_ptr<Sequence> Fork() const = 0;

  // Takes the pages for a step of `tokens` (see StepEntry) now, so that the step cannot fail for want of
  // them. RESOURCE_EXHAUSTED, and nothing changed, when there are not enough or more than `most` would be
  // needed.
  virtual absl::Status Reserve(int tokens, absl::Span<const int> page_starts,
                               int64_t most = std::numeric_limits<int64_t>::max()) = 0;
  // Pages held, shared ones included; 0 where there are none.
  virtual int64_t pages() const = 0;
  virtual int64_t bytes() const = 0;
};

// One sequence's share of a step: its tokens are run after those it holds.
struct StepEntry {
  Sequence* sequence = nullptr;
  absl::Span<const TokenId> tokens;  // at least one
  // Where the scores of the token after the last one go; null when nobody asks. Resized to [vocabulary].
  std::vector<float>* logits = nullptr;
  // Which of `tokens` begin a new page: ascending indices from 0.
  absl::Span<const int> page_starts = {};
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  // Scores a step returns a token; at least as many as the tokenizer has tokens.
  virtual int vocabulary() const = 0;
  virtual absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() = 0;
  // Runs one step over sequences of this model that are all different. A row's result does not depend on the
  // other rows. An error leaves every sequence of the step at the length it had.
  virtual absl::Status Step(absl::Span<StepEntry> entries) = 0;
  // Of all sequences together; any thread. All zero where the cache is not paged.
  virtual schedule::PageStats pages() const { return {}; }
  virtual int64_t page_bytes() const { return 0; }
};

}  // namespace parley::engine

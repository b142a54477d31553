// A decoder-only language model as the runtime drives it: rows of sequences in, tokens or scores out.
// Implemented by engine/cpu, engine/torch and engine/fake.
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
#include "engine/model/device.h"
#include "engine/model/part.h"
#include "engine/model/row_request.h"
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

// Rows of a step that are features: [row, row + count) of its entry are rows [begin, begin + count) of
// `features`.
struct FeatureRows {
  int row = 0;
  const Features* features = nullptr;
  int begin = 0;
  int count = 0;
};

// One sequence's share of a step: rows that are run after those it holds. A row is a token, or a feature in a
// token's place, which takes a position and room in the KV cache as a token does.
struct StepEntry {
  Sequence* sequence = nullptr;
  absl::Span<const TokenId> tokens;  // a row each, at least one; not looked at where the row is a feature
  // Which of `tokens` begin a new page: ascending indices from 0.
  absl::Span<const int> page_starts = {};
  absl::Span<const FeatureRows> features = {};  // in ascending order, none overlapping
  absl::Span<const RowRequest> requests = {};   // in ascending order, one a row at most
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  // Scores a step returns a row; at least as many as the tokenizer has tokens.
  virtual int vocabulary() const = 0;
  // Width of a hidden state, and of a feature.
  virtual int hidden() const = 0;
  // Where features must lie.
  virtual Device device() const { return {}; }
  virtual absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() = 0;

  // A step over sequences of this model that are all different, in two halves: the caller may plan the next
  // one while a device runs this one. Between them only pages() may be called, and what the entries and their
  // requests point at stays as it is; requests are answered when Complete returns. A row's result does not
  // depend on the other rows. An error of either leaves every sequence of the step at the length it had, and
  // the step is over. INVALID_ARGUMENT: a token outside the vocabulary, features of another width or device,
  // a sequence that would pass the context; RESOURCE_EXHAUSTED: no pages.
  virtual absl::Status Submit(absl::Span<const StepEntry> entries) = 0;
  // REQUIRES: a step was submitted, without an error, and not completed.
  virtual absl::Status Complete() = 0;
  // Both.
  absl::Status Step(absl::Span<const StepEntry> entries) {
    if (absl::Status status = Submit(entries); !status.ok()) return status;
    return Complete();
  }

  // Of all sequences together; any thread. All zero where the cache is not paged.
  virtual schedule::PageStats pages() const { return {}; }
  virtual int64_t page_bytes() const { return 0; }
};

}  // namespace parley::engine

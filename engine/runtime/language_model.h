// A decoder-only language model as the runtime drives it: sequences of tokens in, scores out. engine/cpu and
// engine/torch implement it.
//
// Called by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/text/token.h"

namespace parley::engine {

// One conversation's KV cache.
class Sequence {
 public:
  virtual ~Sequence() = default;
  // Tokens held, which is the next token's position.
  virtual int length() const = 0;
  // Forgets the tokens from `length` on. REQUIRES: 0 <= length <= length().
  virtual void Truncate(int length) = 0;
  virtual int64_t bytes() const = 0;
};

// One sequence's share of a step: its tokens are run after those it holds.
struct StepEntry {
  Sequence* sequence = nullptr;
  absl::Span<const TokenId> tokens;  // at least one
  // Where the scores of the token after the last one go; null when nobody asks. Resized to [vocabulary].
  std::vector<float>* logits = nullptr;
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
};

}  // namespace parley::engine

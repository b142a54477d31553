// What the runtime needs of a set of models: the arithmetic, and nothing of calls, queues or clocks.
// engine/torch implements it on real weights, engine/fake without any.
//
// Everything is called by the runtime's model thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/api/engine.h"
#include "engine/api/media.h"
#include "engine/text/token.h"

namespace parley::engine {

namespace text {
class Tokenizer;
class PromptLayout;
}  // namespace text

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

// A transcription under way, done in bounded slices so that other calls' tokens are not held up.
class Transcription {
 public:
  struct Result {
    std::string text;
    std::string language;  // ISO 639-1
  };
  virtual ~Transcription() = default;
  // Does one slice (one window's encoding, or a few decoder steps); true when done.
  virtual absl::StatusOr<bool> Advance() = 0;
  // REQUIRES: Advance returned true.
  virtual const Result& result() const = 0;
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const EngineInfo& info() const = 0;
  virtual const text::Tokenizer& tokenizer() const = 0;
  virtual const text::PromptLayout& layout() const = 0;
  // Scores a step returns a token; at least tokenizer().size().
  virtual int vocabulary() const = 0;
  virtual bool hears() const = 0;
  virtual bool sees() const = 0;

  virtual absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() = 0;
  // Runs one step over sequences that are all different. A row's result does not depend on the other rows.
  // An error leaves every sequence of the step at the length it had.
  virtual absl::Status Step(absl::Span<StepEntry> entries) = 0;

  // What the vision bridge puts into the prompt for each picture, as words.
  virtual absl::StatusOr<std::vector<std::string>> DescribeImages(absl::Span<const ImagePtr> images) = 0;
  virtual absl::StatusOr<std::unique_ptr<Transcription>> StartTranscription(std::vector<float> samples) = 0;
};

}  // namespace parley::engine

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
#include "engine/model/language_model.h"

namespace parley::engine {

namespace text {
class Tokenizer;
class PromptLayout;
}  // namespace text

// What a transcription wrote of an utterance that has grown since; of the model that made it.
class TranscriptDraft {
 public:
  virtual ~TranscriptDraft() = default;
};

// A transcription under way, done in bounded slices so that other calls' tokens are not held up.
class Transcription {
 public:
  struct Result {
    std::string text;
    std::string language;             // ISO 639-1
    int tokens = 0;                   // of the transcriber's, timestamps too
    int early_tokens = 0;             // of these, what the draft had
    double mean_log_probability = 0;  // of the words' tokens, where it was asked for
  };
  virtual ~Transcription() = default;
  // Does one slice (some layers of a window's encoding, or a few decoder steps); true when done.
  virtual absl::StatusOr<bool> Advance() = 0;
  // Asks for mean_log_probability, which costs a little. Before the first Advance.
  virtual void MeasureConfidence() {}
  // Whether its next slice is of the kind that several transcriptions do together for little more than one.
  virtual bool joins() const { return false; }
  // REQUIRES: Advance returned true.
  virtual const Result& result() const = 0;
  // What there is so far, done or not; null: nothing.
  virtual std::shared_ptr<const TranscriptDraft> draft() const { return nullptr; }
};

// The language model and what stands before it.
class Model : public LanguageModel {
 public:
  virtual const EngineInfo& info() const = 0;
  virtual const text::Tokenizer& tokenizer() const = 0;
  virtual const text::PromptLayout& layout() const = 0;
  virtual bool hears() const = 0;
  virtual bool sees() const = 0;

  // What the vision bridge puts into the prompt for each picture, as words; not changed by the others.
  virtual absl::StatusOr<std::vector<std::string>> DescribeImages(absl::Span<const ImagePtr> images) = 0;
  // `draft`, null or of audio that these samples begin with, makes it faster and changes nothing else; of
  // other audio it only makes it slower.
  virtual absl::StatusOr<std::unique_ptr<Transcription>> StartTranscription(
      std::vector<float> samples, std::shared_ptr<const TranscriptDraft> draft) = 0;
  // One slice of each, as Advance has it. REQUIRES: each joins(), or there is one. What one gives does not
  // depend on the others.
  virtual std::vector<absl::StatusOr<bool>> AdvanceTogether(absl::Span<Transcription* const> transcriptions) {
    std::vector<absl::StatusOr<bool>> done;
    for (Transcription* transcription : transcriptions) done.push_back(transcription->Advance());
    return done;
  }
};

}  // namespace parley::engine

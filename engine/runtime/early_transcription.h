// The transcription of an utterance that goes on: see op::TranscribeEarly. Also what is left of a
// transcription that was dropped because the user went on: a draft of the next one.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model.h"

namespace parley::engine {

// Model thread only.
class EarlyTranscription {
 public:
  // `model` must outlive it.
  explicit EarlyTranscription(Model* model) : model_(model) {}

  // Takes the place of the samples that are pending or being transcribed; empty: everything is forgotten.
  void Start(std::vector<float> samples);
  // There are samples pending, or a transcription is under way.
  bool pending() const { return encoding_ != nullptr || !samples_.empty(); }
  bool batchable() const { return encoding_ != nullptr && encoding_->batchable(); }
  // Null: there is nothing to do after all.
  Encoding* BeginPass();
  // What fails is left: whoever needs the transcript will see.
  void FinishPass(const absl::StatusOr<bool>& done);

  // The whole utterance is transcribed now: nothing more is done early. Null: nothing was.
  std::shared_ptr<const SpeechDraft> TakeDraft();
  // Null: nothing has been transcribed so far.
  std::shared_ptr<const SpeechDraft> draft() const { return draft_; }
  // It goes on, and the draft is of its beginning. Null: there is none, and the one before stays.
  void Keep(std::shared_ptr<const SpeechDraft> draft);
  void Forget();

 private:
  Model* const model_;
  std::vector<float> samples_;
  std::unique_ptr<Encoding> encoding_;
  std::shared_ptr<const SpeechDraft> draft_;
};

}  // namespace parley::engine

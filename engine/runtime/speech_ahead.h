// What one conversation hears of an utterance before it is asked to read it: see op::HearAhead. And
// what is left of a transcription that came to nothing, because the user went on: a draft of the next one.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model.h"

namespace parley::engine {

// Model thread only.
class SpeechAhead {
 public:
  // `model` must outlive it.
  explicit SpeechAhead(Model* model) : model_(model) {}

  // Takes the place of what is heard or waits to be; empty: everything is forgotten.
  void Hear(std::vector<float> samples);
  // There is audio that waits, or a transcription under way.
  bool wants() const { return transcription_ != nullptr || !samples_.empty(); }
  bool batchable() const { return transcription_ != nullptr && transcription_->joins(); }
  // Null: there is nothing to do after all.
  Transcription* BeginChunk();
  // What fails is left: whoever needs the transcript will see.
  void FinishChunk(const absl::StatusOr<bool>& done);

  // The utterance is read now: nothing is heard ahead of it any more. Null: nothing was.
  std::shared_ptr<const TranscriptDraft> TakeDraft();
  // Null: nothing was heard so far.
  std::shared_ptr<const TranscriptDraft> draft() const { return draft_; }
  // It goes on, and the transcription, or the draft, is of its beginning.
  void Keep(const Transcription& transcription) { Keep(transcription.draft()); }
  void Keep(std::shared_ptr<const TranscriptDraft> draft);
  void Forget();

 private:
  Model* const model_;
  std::vector<float> samples_;
  std::unique_ptr<Transcription> transcription_;
  std::shared_ptr<const TranscriptDraft> draft_;
};

}  // namespace parley::engine

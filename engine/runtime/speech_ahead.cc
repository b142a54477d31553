#include "engine/runtime/speech_ahead.h"

#include <utility>

namespace parley::engine {

void SpeechAhead::Hear(std::vector<float> samples) {
  if (transcription_ != nullptr) Keep(*transcription_);
  transcription_.reset();
  samples_ = std::move(samples);
  if (samples_.empty()) draft_.reset();
}

Transcription* SpeechAhead::BeginChunk() {
  if (transcription_ == nullptr) {
    auto started = model_->StartTranscription(std::exchange(samples_, {}), draft_);
    if (started.ok()) transcription_ = *std::move(started);
  }
  return transcription_.get();
}

void SpeechAhead::FinishChunk(const absl::StatusOr<bool>& done) {
  if (done.ok() && !*done) return;
  if (done.ok()) Keep(*transcription_);
  transcription_.reset();
}

std::shared_ptr<const TranscriptDraft> SpeechAhead::TakeDraft() {
  if (transcription_ != nullptr) Keep(*transcription_);
  transcription_.reset();
  samples_ = {};
  return draft_;
}

void SpeechAhead::Forget() {
  transcription_.reset();
  samples_ = {};
  draft_.reset();
}

void SpeechAhead::Keep(std::shared_ptr<const TranscriptDraft> draft) {
  if (draft != nullptr) draft_ = std::move(draft);
}

}  // namespace parley::engine

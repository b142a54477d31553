#include "engine/runtime/early_transcription.h"

#include <utility>

namespace parley::engine {

void EarlyTranscription::Start(std::vector<float> samples) {
  if (transcription_ != nullptr) Keep(*transcription_);
  transcription_.reset();
  samples_ = std::move(samples);
  if (samples_.empty()) draft_.reset();
}

Transcription* EarlyTranscription::BeginChunk() {
  if (transcription_ == nullptr) {
    auto started = model_->StartTranscription(std::exchange(samples_, {}), draft_);
    if (started.ok()) transcription_ = *std::move(started);
  }
  return transcription_.get();
}

void EarlyTranscription::FinishChunk(const absl::StatusOr<bool>& done) {
  if (done.ok() && !*done) return;
  if (done.ok()) Keep(*transcription_);
  transcription_.reset();
}

std::shared_ptr<const TranscriptDraft> EarlyTranscription::TakeDraft() {
  if (transcription_ != nullptr) Keep(*transcription_);
  transcription_.reset();
  samples_ = {};
  return draft_;
}

void EarlyTranscription::Forget() {
  transcription_.reset();
  samples_ = {};
  draft_.reset();
}

void EarlyTranscription::Keep(std::shared_ptr<const TranscriptDraft> draft) {
  if (draft != nullptr) draft_ = std::move(draft);
}

}  // namespace parley::engine

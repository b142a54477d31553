#include "engine/runtime/early_transcription.h"

#include <utility>

namespace parley::engine {

void EarlyTranscription::Start(std::vector<float> samples) {
  if (encoding_ != nullptr) Keep(encoding_->draft());
  encoding_.reset();
  samples_ = std::move(samples);
  if (samples_.empty()) draft_.reset();
}

Encoding* EarlyTranscription::BeginPass() {
  if (encoding_ == nullptr) {
    auto started = model_->speech_encoder->Start({.samples = std::exchange(samples_, {}), .draft = draft_});
    if (started.ok()) encoding_ = *std::move(started);
  }
  return encoding_.get();
}

void EarlyTranscription::FinishPass(const absl::StatusOr<bool>& done) {
  if (done.ok() && !*done) return;
  if (done.ok()) Keep(encoding_->draft());
  encoding_.reset();
}

std::shared_ptr<const SpeechDraft> EarlyTranscription::TakeDraft() {
  if (encoding_ != nullptr) Keep(encoding_->draft());
  encoding_.reset();
  samples_ = {};
  return draft_;
}

void EarlyTranscription::Forget() {
  encoding_.reset();
  samples_ = {};
  draft_.reset();
}

void EarlyTranscription::Keep(std::shared_ptr<const SpeechDraft> draft) {
  if (draft != nullptr) draft_ = std::move(draft);
}

}  // namespace parley::engine

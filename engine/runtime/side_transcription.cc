#include "engine/runtime/side_transcription.h"

#include <utility>

namespace parley::engine {

void SideTranscription::Ask(op::Transcribe operation, absl::Time given) {
  Cancel();
  operation_ = std::move(operation);
  times_ = {.queued = given};
  if (!model_->hears()) {
    Complete(absl::FailedPreconditionError("this bundle has no speech encoder"));
  } else if (operation_->samples.empty()) {
    Complete(SpeechResult{});
  }
}

Encoding* SideTranscription::BeginPass(std::shared_ptr<const SpeechDraft> draft) {
  if (encoding_ != nullptr) return encoding_.get();
  times_.encode_start = clock_->Now();
  auto started = model_->speech_encoder->Start(
      {.samples = std::move(operation_->samples), .draft = std::move(draft), .measure_confidence = true});
  if (!started.ok()) {
    Complete(started.status());
    return nullptr;
  }
  encoding_ = *std::move(started);
  return encoding_.get();
}

std::shared_ptr<const SpeechDraft> SideTranscription::FinishPass(const absl::StatusOr<bool>& done) {
  if (!done.ok()) {
    Complete(done.status());
    return nullptr;
  }
  if (!*done) return nullptr;
  times_.encode_end = times_.prefill_start = times_.prefill_end = clock_->Now();
  auto draft = encoding_->draft();
  Encoded encoded = encoding_->Take();
  Transcript& written = encoded.transcript;
  SpeechResult result{.heard = encoded.heard,
                      .transcript = std::move(written.text),
                      .language = std::move(written.language),
                      .transcript_tokens = written.tokens,
                      .transcript_tokens_early = written.early_tokens,
                      .mean_log_probability = written.mean_log_probability,
                      .times = times_};
  Complete(std::move(result));
  return draft;
}

void SideTranscription::Cancel() {
  if (pending()) Complete(absl::CancelledError("the transcription was cancelled"));
}

void SideTranscription::Complete(absl::StatusOr<SpeechResult> result) {
  encoding_.reset();
  op::Transcribe operation = *std::exchange(operation_, std::nullopt);
  operation.done(std::move(result));
}

}  // namespace parley::engine

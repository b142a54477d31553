#include "engine/runtime/side_transcription.h"

#include <utility>

namespace parley::engine {

void SideTranscription::Ask(op::Transcribe operation, absl::Time given) {
  Cancel();
  operation_ = std::move(operation);
  times_ = {.queued = given};
  if (!model_->hears()) {
    Complete(absl::FailedPreconditionError("this bundle has no audio tower"));
  } else if (operation_->samples.empty()) {
    Complete(SpeechResult{});
  }
}

Transcription* SideTranscription::BeginChunk(std::shared_ptr<const TranscriptDraft> draft) {
  if (transcription_ != nullptr) return transcription_.get();
  times_.encode_start = clock_->Now();
  auto started = model_->StartTranscription(std::move(operation_->samples), std::move(draft));
  if (!started.ok()) {
    Complete(started.status());
    return nullptr;
  }
  transcription_ = *std::move(started);
  transcription_->MeasureConfidence();
  return transcription_.get();
}

std::shared_ptr<const TranscriptDraft> SideTranscription::FinishChunk(const absl::StatusOr<bool>& done) {
  if (!done.ok()) {
    Complete(done.status());
    return nullptr;
  }
  if (!*done) return nullptr;
  times_.encode_end = times_.prefill_start = times_.prefill_end = clock_->Now();
  const Transcription::Result& written = transcription_->result();
  SpeechResult result{.transcript = written.text,
                      .language = written.language,
                      .transcript_tokens = written.tokens,
                      .transcript_tokens_early = written.early_tokens,
                      .mean_log_probability = written.mean_log_probability,
                      .times = times_};
  auto draft = transcription_->draft();
  Complete(std::move(result));
  return draft;
}

void SideTranscription::Cancel() {
  if (pending()) Complete(absl::CancelledError("the transcription was cancelled"));
}

void SideTranscription::Complete(absl::StatusOr<SpeechResult> result) {
  transcription_.reset();
  op::Transcribe operation = *std::exchange(operation_, std::nullopt);
  operation.done(std::move(result));
}

}  // namespace parley::engine

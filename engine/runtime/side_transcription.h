// What somebody says beside a conversation, written down without entering it: see Conversation::Transcribe.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/model/model.h"
#include "engine/runtime/operation.h"

namespace parley::engine {

// Model thread only.
class SideTranscription {
 public:
  // Both must outlive it.
  SideTranscription(Model* model, const Clock* clock) : model_(model), clock_(clock) {}
  ~SideTranscription() { Cancel(); }

  // The last one takes the place of the one that waits or is under way; all before it complete with
  // CANCELLED.
  void Ask(std::vector<TranscribeOperation> operations);
  bool wants() const { return operation_ != nullptr; }
  bool batchable() const { return transcription_ != nullptr && transcription_->joins(); }
  // REQUIRES: wants(). `draft`: of the utterance, or null. Null: it cannot be started, and has completed.
  Transcription* BeginChunk(std::shared_ptr<const TranscriptDraft> draft);
  // Null, or a draft of what will be written when more of the same utterance is heard.
  std::shared_ptr<const TranscriptDraft> FinishChunk(const absl::StatusOr<bool>& done);
  void Cancel();

 private:
  void Complete(absl::StatusOr<SpeechResult> result);

  Model* const model_;
  const Clock* const clock_;
  std::unique_ptr<TranscribeOperation> operation_;
  std::unique_ptr<Transcription> transcription_;
  OperationTimes times_;
};

}  // namespace parley::engine

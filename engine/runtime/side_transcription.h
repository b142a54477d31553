// What somebody says beside a conversation, written down without entering it: see op::Transcribe.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/api/conversation.h"
#include "engine/model/model.h"

namespace parley::engine {

// Model thread only.
class SideTranscription {
 public:
  // Both must outlive it.
  SideTranscription(Model* model, const Clock* clock) : model_(model), clock_(clock) {}
  ~SideTranscription() { Cancel(); }

  // Takes the place of the one that is pending or under way, which completes with CANCELLED.
  void Ask(op::Transcribe operation, absl::Time given);
  bool pending() const { return operation_.has_value(); }
  bool batchable() const { return encoding_ != nullptr && encoding_->batchable(); }
  // REQUIRES: pending(). `draft`: of the utterance, or null. Null: it cannot be started, and has completed.
  Encoding* BeginPass(std::shared_ptr<const SpeechDraft> draft);
  // Null, or a draft of what will be written when more of the same utterance is heard.
  std::shared_ptr<const SpeechDraft> FinishPass(const absl::StatusOr<bool>& done);
  void Cancel();

 private:
  void Complete(absl::StatusOr<SpeechResult> result);

  Model* const model_;
  const Clock* const clock_;
  std::optional<op::Transcribe> operation_;
  std::unique_ptr<Encoding> encoding_;
  OperationTimes times_;
};

}  // namespace parley::engine

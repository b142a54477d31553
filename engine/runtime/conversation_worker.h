// One conversation on the model thread: takes its operations in order and says what it wants of the next
// step.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/runtime/answer_stream.h"
#include "engine/runtime/conversation_history.h"
#include "engine/runtime/model.h"
#include "engine/runtime/operation.h"
#include "engine/schedule/step_planner.h"

namespace parley::engine {

// Model thread only, but for construction.
class ConversationWorker {
 public:
  // `model` and `clock` must outlive the worker.
  ConversationWorker(schedule::WorkId id, std::shared_ptr<Inbox> inbox, ConversationHistory history,
                     Model* model, const Clock* clock);
  // Everything that is not complete completes with CANCELLED.
  ~ConversationWorker();

  schedule::WorkId id() const { return id_; }
  int pending_operations() const { return inbox_->pending(); }
  int64_t kv_bytes() const { return sequence_ == nullptr ? 0 : sequence_->bytes(); }

  // Takes what came, then begins and completes operations until one needs the model. False: the conversation
  // is closed, and the worker is to be destroyed.
  bool Settle();
  // What the model should do for it; nothing when it is idle.
  std::optional<schedule::Want> Wants() const;

  // The tower work it wants: one slice of speech, or a frame, which the loop encodes together with others'.
  // Null: speech.
  ImagePtr FrameToEncode() const;
  void RunSpeechSlice();
  void BeginFrame();
  void FinishFrame(absl::StatusOr<std::string> words);
  // Its share of the next step: `rows` of the tokens it wants to prefill or decode. The entry lives until one
  // of:
  StepEntry BeginStep(int rows);
  // Returns the answer tokens made: 0 or 1.
  int FinishStep();
  void FailStep(absl::Status status) { Poison(std::move(status)); }

 private:
  enum class Stage { kBetween, kEncode, kPrefill };

  void Take();
  void Begin(Operation& operation);
  void BeginAnswer(const AnswerOperation& answer);
  // Words of a frame or of speech, or a text, into history; its prefill comes next.
  void BeginPrefill(ConversationHistory::PartKind kind, absl::string_view words);
  schedule::WorkKind SliceKind() const;
  // The operation under way is complete: gives its results, or `status`.
  void Complete(absl::Status status);
  void CompleteAnswer(FinishReason reason, const absl::Status& status);
  void Cancel();
  void Poison(absl::Status status);
  void Pop();
  void TakeToken();
  void TruncateCache();
  int Unfilled() const { return history_.size() - (sequence_ == nullptr ? 0 : sequence_->length()); }
  bool SomebodyWaits() const;

  const schedule::WorkId id_;
  const std::shared_ptr<Inbox> inbox_;
  Model* const model_;
  const Clock* const clock_;
  ConversationHistory history_;
  std::unique_ptr<Sequence> sequence_;
  absl::Status poison_;
  bool closed_ = false;

  std::deque<Operation> operations_;  // the first is under way unless kBetween
  Stage stage_ = Stage::kBetween;
  // Of the operation under way:
  OperationTimes times_;
  bool prefill_began_ = false;
  int tokens_ = 0;
  std::string words_;
  std::string language_;
  std::unique_ptr<Transcription> transcription_;
  std::unique_ptr<AnswerStream> answer_;
  AnswerResult answer_result_;
  std::vector<float> logits_;
  bool scores_asked_ = false;
  bool speculative_ =
      false;  // the operation under way, and what is left to prefill of it when it is complete
};

}  // namespace parley::engine

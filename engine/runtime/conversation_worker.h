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
#include "engine/model/model.h"
#include "engine/runtime/answer_generation.h"
#include "engine/runtime/context_keeper.h"
#include "engine/runtime/conversation_context.h"
#include "engine/runtime/conversation_history.h"
#include "engine/runtime/early_transcription.h"
#include "engine/runtime/inbox.h"
#include "engine/runtime/prompt_cache.h"
#include "engine/runtime/side_transcription.h"
#include "engine/schedule/step_planner.h"

namespace parley::engine {

// Model thread only, but for construction.
class ConversationWorker {
 public:
  // `model`, `prompts` and `clock` must outlive the worker.
  ConversationWorker(schedule::WorkId id, std::shared_ptr<Inbox> inbox, ConversationHistory history,
                     const ConversationOptions& options, const ContextLimits& limits, Model* model,
                     PromptCache* prompts, const Clock* clock);
  // Everything that is not complete completes with CANCELLED.
  ~ConversationWorker();

  schedule::WorkId id() const { return id_; }
  int pending_operations() const { return inbox_->pending(); }
  int64_t kv_bytes() const { return context_.kv_bytes(); }
  int64_t kv_pages() const { return context_.kv_pages(); }
  const ContextKeeper::Counts& context_counts() const { return context_.counts(); }

  // Takes what came, then begins and completes operations until one needs the model. False: the conversation
  // is closed, and the worker is to be destroyed. `pool_short`: it could not take the pages of a turn now.
  bool ProcessInbox(bool pool_short);
  // What the model should do for it; nothing when it is idle.
  std::optional<schedule::Want> Wants() const;

  // The encoder that it wants a pass of. The loop runs it together with that of others.
  Encoder* EncoderWanted() const;
  // Whether that is for speech of an utterance that goes on.
  bool TranscribesEarly() const { return operations_.empty() && !side_transcription_.pending(); }
  // What the pass is to be of. Null: it cannot be started, which the worker has dealt with.
  Encoding* BeginEncoderPass();
  void FinishEncoderPass(const absl::StatusOr<bool>& done);
  // Takes the pages that `rows` of the tokens it wants to prefill or decode need, at most `most`. When it
  // cannot: EvictOrRefuse, and it wants again.
  absl::Status ReservePages(int rows, int64_t most) { return context_.ReservePages(rows, most); }
  // Evicts frames, then turns. With nothing left to evict, and for speculation, the operation under way is
  // refused with `full`.
  void EvictOrRefuse(const absl::Status& full);
  // Its share of the next step. The entry lives until one of FinishStep and FailStep. REQUIRES: ReservePages
  // took the pages for as many rows.
  StepEntry BeginStep(int rows);
  // Returns the answer tokens made: 0 or 1.
  int FinishStep();
  void FailStep(absl::Status status) { Poison(std::move(status)); }

 private:
  enum class Stage { kBetween, kEncode, kPrefill };

  // Takes what came, and acts on what is not queued.
  void TakeInbox();
  void Handle(op::TranscribeEarly& speech, const ImmediateOperation& operation);
  void Handle(op::Transcribe& speech, const ImmediateOperation& operation);
  void Handle(const op::CancelAnswer& cancel, const ImmediateOperation& operation);
  void Handle(const op::Promote& promote, const ImmediateOperation& operation);
  // What was queued after that one is cancelled, but for what has no outcome: cuts of earlier answers, marks
  // and rewinds stand.
  void CancelAfter(uint64_t order);

  // The turn of a queued operation has come. It completes, or needs the model first.
  void Begin(QueuedOperation& operation);
  void Begin(const op::AppendFrame& frame);
  void Begin(const op::AppendSpeech& speech);
  void Begin(const op::AppendText& text);
  void Begin(const op::Answer& answer);
  void Begin(const op::TrimAnswer& trim);
  void Begin(const op::Mark& mark);
  void Begin(const op::Speculate& mark);
  void Begin(const op::Rewind& rewind);
  absl::StatusOr<std::unique_ptr<Encoding>> StartEncoding();
  // What was made of a frame or of speech, or a text, into history; its prefill comes next.
  void BeginPrefill(ConversationHistory::PartKind kind, absl::string_view words);
  schedule::Want EncodeWant() const;
  // Of the operation under way, or of what is left to prefill of the one before.
  schedule::Urgency CurrentUrgency() const;
  void EndEncoding();
  // The operation under way is complete: gives its results, or `status`.
  void Complete(absl::Status status = absl::OkStatus());
  FrameResult TakeResult(const op::AppendFrame& frame);
  SpeechResult TakeResult(const op::AppendSpeech& speech);
  TextResult TakeResult(const op::AppendText& text);
  // Of an answer that ends before it has begun.
  AnswerResult NotBegun(absl::Time queued, FinishReason reason, const absl::Status& status) const;
  // The answer under way ends.
  void FinishAnswer(FinishReason reason, const absl::Status& status);
  // It is complete: its listener is told.
  void CompleteAnswer(const AnswerResult& result);
  void Cancel();
  void Refuse(const absl::Status& full);
  void Poison(absl::Status status);
  void Pop();
  // Whether the turn is over and an answer is owed: what closes it is queued.
  bool AnswerPending() const;

  const schedule::WorkId id_;
  const std::shared_ptr<Inbox> inbox_;
  Model* const model_;
  const Clock* const clock_;
  ConversationContext context_;
  EarlyTranscription early_transcription_;
  SideTranscription side_transcription_;
  bool pool_short_ = false;
  bool out_of_pages_ = false;  // there are none for what is left to prefill, and nothing to refuse
  absl::Status poison_;
  bool closed_ = false;

  std::deque<QueuedOperation> operations_;  // the first is under way unless kBetween
  Stage stage_ = Stage::kBetween;
  // Of the operation under way:
  OperationTimes times_;
  bool prefill_began_ = false;
  int tokens_ = 0;
  Encoded encoded_;
  std::unique_ptr<Encoding> encoding_;
  std::unique_ptr<AnswerGeneration> generation_;
  bool token_requested_ = false;
  // The operation under way, and what is left to prefill of it when it is complete.
  bool speculative_ = false;
};

}  // namespace parley::engine

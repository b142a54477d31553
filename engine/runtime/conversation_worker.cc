#include "engine/runtime/conversation_worker.h"

#include <algorithm>
#include <utility>

#include "engine/text/utf8.h"

namespace parley::engine {
namespace {

using schedule::Urgency;
using schedule::Want;
using schedule::WorkKind;

absl::Status Cancelled() { return absl::CancelledError("the operation was cancelled"); }
absl::Status TooLate() { return absl::DeadlineExceededError("its deadline was over when its turn came"); }

template <typename Op>
bool Is(const QueuedOperation& operation) {
  return std::holds_alternative<Op>(operation.what);
}

bool Expired(const QueuedOperation& operation, absl::Time now) {
  const auto* const frame = std::get_if<op::AppendFrame>(&operation.what);
  return frame != nullptr && now > frame->deadline;
}

absl::Status CheckImage(const Image* image) {
  if (image == nullptr || image->width <= 0 || image->height <= 0 ||
      image->pixels.size() != static_cast<size_t>(image->width) * image->height * 3) {
    return absl::InvalidArgumentError("the picture is empty, or its size is not that of its pixels");
  }
  return absl::OkStatus();
}

}  // namespace

ConversationWorker::ConversationWorker(schedule::WorkId id, std::shared_ptr<Inbox> inbox,
                                       ConversationHistory history, const ConversationOptions& options,
                                       const ContextLimits& limits, Model* model, PromptCache* prompts,
                                       const Clock* clock)
    : id_(id),
      inbox_(std::move(inbox)),
      model_(model),
      clock_(clock),
      context_(id, std::move(history), options, limits, model, prompts),
      early_transcription_(model),
      side_transcription_(model, clock) {}

ConversationWorker::~ConversationWorker() {
  TakeInbox();
  if (stage_ != Stage::kBetween) Cancel();
  while (!operations_.empty()) Complete(Cancelled());
}

void ConversationWorker::TakeInbox() {
  Inbox::Contents contents = inbox_->Take();
  closed_ = closed_ || contents.closed;
  for (QueuedOperation& taken : contents.queued) {
    if (Is<op::Rewind>(taken)) CancelAfter(taken.mark_order);
    operations_.push_back(std::move(taken));
  }
  for (ImmediateOperation& taken : contents.immediate) {
    std::visit([&](auto& what) { Handle(what, taken); }, taken.what);
  }
}

void ConversationWorker::Handle(op::TranscribeEarly& speech, const ImmediateOperation&) {
  if (model_->hears()) early_transcription_.Start(std::move(speech.samples));
}

void ConversationWorker::Handle(op::Transcribe& speech, const ImmediateOperation& operation) {
  side_transcription_.Cancel();
  if (operation.superseded) return speech.done(Cancelled());
  side_transcription_.Ask(std::move(speech), operation.given);
}

void ConversationWorker::Handle(const op::CancelAnswer& cancel, const ImmediateOperation&) {
  for (QueuedOperation& queued : operations_) {
    if (Is<op::Answer>(queued) && queued.id == cancel.answer) queued.cancelled = true;
  }
}

void ConversationWorker::Handle(const op::Promote&, const ImmediateOperation& operation) {
  speculative_ = false;
  early_transcription_.Forget();  // the turn is over
  for (QueuedOperation& queued : operations_) {
    if (queued.order <= operation.order) queued.speculative = false;
  }
}

void ConversationWorker::CancelAfter(uint64_t order) {
  for (QueuedOperation& queued : operations_) {
    if (queued.order > order && HasOutcome(queued.what)) queued.cancelled = true;
  }
}

bool ConversationWorker::ProcessInbox(bool pool_short) {
  TakeInbox();
  if (closed_) return false;
  pool_short_ = pool_short;
  if (poison_.ok()) poison_ = context_.Open();
  while (!operations_.empty()) {
    QueuedOperation& operation = operations_.front();
    if (stage_ == Stage::kBetween) {
      Begin(operation);
    } else if (operation.cancelled) {
      Cancel();
    } else if (stage_ == Stage::kEncode && encoding_ == nullptr && Expired(operation, clock_->Now())) {
      Complete(TooLate());
    } else if (stage_ == Stage::kPrefill && context_.unfilled() == 0 && !Is<op::Answer>(operation)) {
      times_.prefill_end = clock_->Now();
      Complete();
    } else {
      break;
    }
  }
  if (operations_.empty()) context_.Idle();
  return true;
}

void ConversationWorker::Begin(QueuedOperation& operation) {
  const absl::Time now = clock_->Now();
  times_ = {operation.queued, now, now, now, now};
  prefill_began_ = false;
  out_of_pages_ = false;
  tokens_ = 0;
  encoded_ = {};
  speculative_ = operation.speculative;
  if (!poison_.ok()) return Complete(poison_);
  if (!operation.refused.ok()) return Complete(operation.refused);
  if (operation.cancelled) return Complete(Cancelled());
  std::visit([this](const auto& what) { Begin(what); }, operation.what);
}

void ConversationWorker::Begin(const op::AppendFrame& frame) {
  if (!model_->sees()) return Complete(absl::FailedPreconditionError("this bundle has no vision encoder"));
  if (const absl::Status status = CheckImage(frame.image.get()); !status.ok()) return Complete(status);
  if (clock_->Now() > frame.deadline) return Complete(TooLate());
  stage_ = Stage::kEncode;
}

void ConversationWorker::Begin(const op::AppendSpeech& speech) {
  if (!model_->hears()) return Complete(absl::FailedPreconditionError("this bundle has no speech encoder"));
  if (speech.samples.empty()) return Complete();
  stage_ = Stage::kEncode;
}

void ConversationWorker::Begin(const op::AppendText& text) {
  if (!text::IsValidUtf8(text.text)) {
    return Complete(absl::InvalidArgumentError("the text is not valid UTF-8"));
  }
  BeginPrefill(ConversationHistory::PartKind::kText, text.text);
}

void ConversationWorker::Begin(const op::Answer& answer) {
  const AnswerId id = operations_.front().id;
  if (!context_.OpenAnswer(id, answer.config.max_tokens)) {
    AnswerResult result = NotBegun(times_.queued, FinishReason::kContextFull, absl::OkStatus());
    result.turn_usage = context_.history().turn_usage();
    return CompleteAnswer(result);
  }
  generation_ =
      std::make_unique<AnswerGeneration>(answer, times_.queued, &context_.history(), model_, clock_);
  stage_ = Stage::kPrefill;
}

void ConversationWorker::Begin(const op::TrimAnswer& trim) {
  if (context_.history().TrimAnswer(trim.answer, trim.tokens)) context_.Truncate();
  Complete();
}

void ConversationWorker::Begin(const op::Mark&) {
  context_.history().Mark(operations_.front().id);
  Complete();
}

void ConversationWorker::Begin(const op::Speculate&) { Begin(op::Mark{}); }

void ConversationWorker::Begin(const op::Rewind& rewind) {
  if (context_.history().Rewind(rewind.mark)) context_.Truncate();
  Complete();
}

void ConversationWorker::BeginPrefill(ConversationHistory::PartKind kind, absl::string_view words) {
  tokens_ = context_.AppendPart(kind, words, clock_->Now(), pool_short_);
  times_.prefill_start = times_.prefill_end = clock_->Now();
  if (tokens_ < 0) {
    tokens_ = 0;
    Complete(absl::ResourceExhaustedError("the conversation's context is full"));
  } else if (tokens_ == 0) {
    Complete();
  } else {
    stage_ = Stage::kPrefill;
  }
}

std::optional<Want> ConversationWorker::Wants() const {
  // Somebody holds back an answer until this is known.
  if (side_transcription_.pending()) {
    return Want{.id = id_, .kind = WorkKind::kEncodeSpeech, .batchable = side_transcription_.batchable()};
  }
  if (!poison_.ok() || !context_.open() || out_of_pages_) return std::nullopt;
  if (stage_ == Stage::kEncode) return EncodeWant();
  const int rows = context_.unfilled();
  if (rows == 0 && operations_.empty() && early_transcription_.pending()) {
    return Want{.id = id_,
                .kind = WorkKind::kEncodeSpeech,
                .urgency = Urgency::kIdle,
                .batchable = early_transcription_.batchable()};
  }
  if (rows == 0 || context_.prompt_pending()) return std::nullopt;
  if (generation_ != nullptr && !context_.history().answer_tokens().empty() && rows == 1) {
    return Want{.id = id_, .kind = WorkKind::kDecode, .urgency = CurrentUrgency()};
  }
  // Whoever opens a call waits for its system prompt, and so may others with the same one.
  return Want{.id = id_,
              .kind = WorkKind::kPrefill,
              .urgency = context_.system_unfilled() ? Urgency::kAwaited : CurrentUrgency(),
              .rows = rows};
}

Want ConversationWorker::EncodeWant() const {
  const bool frame = Is<op::AppendFrame>(operations_.front());
  return {.id = id_,
          .kind = frame ? WorkKind::kEncodeFrame : WorkKind::kEncodeSpeech,
          .urgency = CurrentUrgency(),
          .begun = encoding_ != nullptr,
          .batchable = encoding_ != nullptr && encoding_->batchable()};
}

Urgency ConversationWorker::CurrentUrgency() const {
  if (speculative_) return Urgency::kSpeculative;
  if (stage_ == Stage::kBetween) return Urgency::kBackground;
  const bool awaited = !Is<op::AppendFrame>(operations_.front()) || AnswerPending();
  return awaited ? Urgency::kAwaited : Urgency::kBackground;
}

bool ConversationWorker::AnswerPending() const {
  return std::any_of(operations_.begin(), operations_.end(), [](const QueuedOperation& operation) {
    return !operation.speculative &&
           (Is<op::AppendSpeech>(operation) || Is<op::AppendText>(operation) || Is<op::Answer>(operation));
  });
}

Encoder* ConversationWorker::EncoderWanted() const {
  const bool speech =
      side_transcription_.pending() || TranscribesEarly() || Is<op::AppendSpeech>(operations_.front());
  if (speech) return model_->speech_encoder.get();
  return model_->frame_encoder.get();
}

absl::StatusOr<std::unique_ptr<Encoding>> ConversationWorker::StartEncoding() {
  QueuedOperation& operation = operations_.front();
  if (auto* const frame = std::get_if<op::AppendFrame>(&operation.what)) {
    return model_->frame_encoder->Start(std::move(frame->image));
  }
  auto& speech = std::get<op::AppendSpeech>(operation.what);
  return model_->speech_encoder->Start(
      {.samples = std::move(speech.samples), .draft = early_transcription_.TakeDraft()});
}

Encoding* ConversationWorker::BeginEncoderPass() {
  if (side_transcription_.pending()) return side_transcription_.BeginPass(early_transcription_.draft());
  if (TranscribesEarly()) return early_transcription_.BeginPass();
  if (encoding_ == nullptr) {
    times_.encode_start = clock_->Now();
    auto started = StartEncoding();
    if (started.ok()) {
      encoding_ = *std::move(started);
    } else {
      Poison(started.status());
    }
  }
  return encoding_.get();
}

void ConversationWorker::FinishEncoderPass(const absl::StatusOr<bool>& done) {
  if (side_transcription_.pending()) {
    if (auto draft = side_transcription_.FinishPass(done)) early_transcription_.Keep(std::move(draft));
    return;
  }
  if (TranscribesEarly()) return early_transcription_.FinishPass(done);
  times_.encode_end = clock_->Now();
  if (!done.ok()) return Poison(done.status());
  if (!*done) return;
  encoded_ = encoding_->Take();
  EndEncoding();
  const auto* const words = std::get_if<std::string>(&encoded_.part);
  if (words == nullptr) return Poison(absl::UnimplementedError("features in a conversation's prompt"));
  const bool frame = Is<op::AppendFrame>(operations_.front());
  BeginPrefill(frame ? ConversationHistory::PartKind::kFrame : ConversationHistory::PartKind::kSpeech,
               *words);
}

void ConversationWorker::EndEncoding() {
  if (Is<op::AppendSpeech>(operations_.front())) {
    // If the user goes on, what it has is of use.
    if (speculative_) {
      early_transcription_.Keep(encoding_->draft());
    } else {
      early_transcription_.Forget();
    }
  }
  encoding_.reset();
}

void ConversationWorker::EvictOrRefuse(const absl::Status& full) {
  if (!speculative_ && context_.Evict()) return;
  if (stage_ == Stage::kPrefill) {
    Refuse(full);
  } else {
    out_of_pages_ = true;
  }
}

StepEntry ConversationWorker::BeginStep(int rows) {
  if (!prefill_began_) {
    prefill_began_ = true;
    times_.prefill_start = clock_->Now();
    if (generation_ != nullptr) generation_->PrefillBegins();
  }
  token_requested_ = generation_ != nullptr && rows == context_.unfilled();
  if (!token_requested_) return context_.NextStep(rows, {});
  return context_.NextStep(rows, absl::MakeConstSpan(generation_->RequestToken(rows - 1), 1));
}

int ConversationWorker::FinishStep() {
  if (!token_requested_) return 0;
  token_requested_ = false;
  const absl::StatusOr<std::optional<FinishReason>> end = generation_->TakeToken();
  if (!end.ok()) {
    Poison(end.status());
  } else if (end->has_value()) {
    FinishAnswer(**end, absl::OkStatus());
  }
  return 1;
}

void ConversationWorker::FinishAnswer(FinishReason reason, const absl::Status& status) {
  const AnswerResult result = generation_->Finish(reason, status);
  generation_.reset();
  context_.Truncate();
  CompleteAnswer(result);
}

void ConversationWorker::CompleteAnswer(const AnswerResult& result) {
  const std::shared_ptr<AnswerListener> listener = std::get<op::Answer>(operations_.front().what).listener;
  Pop();
  listener->OnDone(result);
}

void ConversationWorker::Complete(absl::Status status) {
  QueuedOperation operation = std::move(operations_.front());
  Pop();
  std::visit(
      [&]<typename Op>(Op& what) {
        if constexpr (std::is_same_v<Op, op::Answer>) {
          const bool cancelled = absl::IsCancelled(status);
          what.listener->OnDone(cancelled
                                    ? NotBegun(operation.queued, FinishReason::kCancelled, absl::OkStatus())
                                    : NotBegun(operation.queued, FinishReason::kFailed, status));
        } else if constexpr (op::HasDone<Op>) {
          if (status.ok()) {
            what.done(TakeResult(what));
          } else {
            what.done(status);
          }
        }
      },
      operation.what);
}

FrameResult ConversationWorker::TakeResult(const op::AppendFrame&) {
  auto* const words = std::get_if<std::string>(&encoded_.part);
  return {words == nullptr ? "" : std::move(*words), tokens_, times_};
}

SpeechResult ConversationWorker::TakeResult(const op::AppendSpeech&) {
  Transcript& transcript = encoded_.transcript;
  return {.heard = encoded_.heard,
          .transcript = std::move(transcript.text),
          .language = std::move(transcript.language),
          .tokens = tokens_,
          .transcript_tokens = transcript.tokens,
          .transcript_tokens_early = transcript.early_tokens,
          .times = times_};
}

TextResult ConversationWorker::TakeResult(const op::AppendText&) { return {tokens_, times_}; }

AnswerResult ConversationWorker::NotBegun(absl::Time queued, FinishReason reason,
                                          const absl::Status& status) const {
  AnswerResult result;
  result.reason = reason;
  result.status = status;
  result.context_tokens = context_.history().held();
  result.queued = queued;
  result.prefill_start = result.prefill_end = clock_->Now();
  result.first_token = result.last_token = absl::InfiniteFuture();
  return result;
}

void ConversationWorker::Cancel() {
  if (encoding_ != nullptr) EndEncoding();
  if (generation_ != nullptr) {
    FinishAnswer(FinishReason::kCancelled, absl::OkStatus());
  } else {
    Complete(Cancelled());
  }
}

// Takes back what the operation under way has appended; an answer ends with what it has.
void ConversationWorker::Refuse(const absl::Status& full) {
  if (generation_ != nullptr) return FinishAnswer(FinishReason::kContextFull, full);
  context_.history().Abandon();
  context_.Truncate();
  Complete(full);
}

void ConversationWorker::Poison(absl::Status status) {
  poison_ = status;
  context_.Close();
  encoding_.reset();
  early_transcription_.Forget();
  if (stage_ == Stage::kBetween) return;
  if (generation_ != nullptr) {
    FinishAnswer(FinishReason::kFailed, status);
  } else {
    Complete(status);
  }
}

void ConversationWorker::Pop() {
  operations_.pop_front();
  stage_ = Stage::kBetween;
  inbox_->Completed();
}

}  // namespace parley::engine

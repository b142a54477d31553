#include "streaming/call/responses.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace parley::streaming {
namespace {

ResponseEnd EndOf(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kEndOfTurn:
      return ResponseEnd::kEndOfTurn;
    case engine::FinishReason::kMaxTokens:
      return ResponseEnd::kMaxTokens;
    case engine::FinishReason::kStopString:
      return ResponseEnd::kStopString;
    case engine::FinishReason::kCancelled:
      return ResponseEnd::kCancelled;
    case engine::FinishReason::kContextFull:
      return ResponseEnd::kContextFull;
    case engine::FinishReason::kFailed:
      return ResponseEnd::kFailed;
  }
  return ResponseEnd::kFailed;
}

// The engine's moments are unset or infinite where a stage did not happen.
absl::Time IfHappened(absl::Time time) {
  return time == absl::Time() || time == absl::InfiniteFuture() ? absl::InfinitePast() : time;
}

}  // namespace

// Carries an answer from the model thread to the call's loop.
class Responses::Listener : public engine::AnswerListener {
 public:
  Listener(Responses* responses, std::shared_ptr<CallLoop> loop, const Clock* clock, uint64_t attempt)
      : responses_(responses), loop_(std::move(loop)), clock_(clock), attempt_(attempt) {}

  void OnText(std::string text, int tokens) override {
    loop_->Post([responses = responses_, attempt = attempt_,
                 delta = TokenDelta{std::move(text), tokens, clock_->Now()}]() mutable {
      responses->OnText(attempt, std::move(delta));
    });
  }
  void OnDone(const engine::AnswerResult& result) override {
    loop_->Post([responses = responses_, attempt = attempt_, result] { responses->OnDone(attempt, result); });
  }

 private:
  Responses* const responses_;  // lives while the loop runs tasks
  const std::shared_ptr<CallLoop> loop_;
  const Clock* const clock_;
  const uint64_t attempt_;
};

void Responses::Configure(const engine::GenerationConfig& generation, const SpeculationConfig& speculation) {
  DropSpeculation();
  generation_ = generation;
  speculation_config_ = speculation;
}

bool Responses::Commit(UserTurn turn) {
  const bool accepted = speculation_ != nullptr && IsSpeculatedOn(turn.utterance);
  if (!accepted) DropSpeculation();
  const CommitReason reason = turn.utterance.reason;
  if (reason != CommitReason::kText && reason != CommitReason::kResponseCreate) {
    turn.speculations = std::exchange(speculations_, 0);
    turn.wasted_tokens = std::exchange(wasted_tokens_, 0);
    refused_ = false;
  }
  if (accepted) {
    Accept(std::move(turn));
    return true;
  }
  if (phase_ == Phase::kIdle && waiting_.empty()) {
    BeginTurn(std::move(turn));
    return true;
  }
  if (waiting_.size() >= kMaxWaiting) return false;
  waiting_.push_back(std::move(turn));
  return true;
}

void Responses::BeginTurn(UserTurn turn) {
  Open(std::move(turn), host_->TakeTurnFrames());
  Utterance& utterance = current_.turn.utterance;
  if (utterance.reason == CommitReason::kText) {
    conversation_->AppendText(current_.turn.text,
                              [this](absl::StatusOr<engine::TextResult> result) { OnTextRead(result); });
  } else if (utterance.reason == CommitReason::kResponseCreate) {
    OnRead(/*has_content=*/true);
  } else if (utterance.samples.empty()) {
    outlet_->Emit(InputTranscript{}, current_.turn.id);
    OnRead(/*has_content=*/!current_.frames->frames.empty());
  } else {
    current_.mark = conversation_->Mark();
    current_.times.speech_queued = clock_->Now();
    AppendSpeech(std::move(utterance.samples), current_.attempt);
  }
}

// The turn is under way.
void Responses::Open(UserTurn turn, std::shared_ptr<TurnFrames> frames) {
  phase_ = Phase::kReading;
  current_ = Current{.turn = std::move(turn), .attempt = ++last_attempt_, .frames = std::move(frames)};
  const Utterance& utterance = current_.turn.utterance;
  TurnTimes& times = current_.times;
  times.speech_captured = utterance.speech_captured;
  times.speech_end = utterance.speech_end;
  times.end_decided = utterance.end_decided;
  times.speech = SamplesToDuration(static_cast<int64_t>(utterance.samples.size()));
  times.speculations = current_.turn.speculations;
  times.wasted_tokens = current_.turn.wasted_tokens;
  if (times.speculations > 0) times.speculation = SpeculationOutcome::kMiss;

  outlet_->RaiseEpoch();
  TurnCommitted committed{.reason = utterance.reason,
                          .start_sample_index = utterance.start_sample_index,
                          .end_sample_index = utterance.end_sample_index};
  for (const TurnFrames::Frame& frame : current_.frames->frames) committed.frame_ids.push_back(frame.id);
  outlet_->Emit(std::move(committed), current_.turn.id);
  host_->OnResponseState();
}

void Responses::AppendSpeech(std::vector<float> samples, uint64_t attempt) {
  conversation_->AppendSpeech(
      std::move(samples),
      [this, attempt](const absl::StatusOr<engine::SpeechResult>& result) { OnSpeechRead(attempt, result); });
}

void Responses::OnSpeechRead(uint64_t attempt, const absl::StatusOr<engine::SpeechResult>& result) {
  if (IsHeld(attempt)) return HoldSpeech(result);
  if (phase_ == Phase::kReading && current_.attempt == attempt) TakeSpeech(result);
}

void Responses::TakeSpeech(const absl::StatusOr<engine::SpeechResult>& result) {
  if (!result.ok()) return OnReadFailed(result.status());
  TellTranscript(*result);
  if (result->heard) return OnRead(/*has_content=*/true);
  conversation_->Rewind(current_.mark);  // noise leaves nothing in history
  // The client asked for this turn itself: then what it shows is enough.
  const CommitReason reason = current_.turn.utterance.reason;
  const bool asked = reason == CommitReason::kInputCommit || reason == CommitReason::kActivityEnd;
  OnRead(asked && !current_.frames->frames.empty());
}

void Responses::TellTranscript(const engine::SpeechResult& result) {
  TurnTimes& times = current_.times;
  times.encode_start = IfHappened(result.times.encode_start);
  times.encode_end = IfHappened(result.times.encode_end);
  times.prefill_queued = IfHappened(result.times.encode_end);
  times.prefill_start = IfHappened(result.times.prefill_start);
  times.prefill_end = IfHappened(result.times.prefill_end);
  times.tokens_prefilled = result.tokens;
  times.transcript_tokens = result.transcript_tokens;
  times.transcript_tokens_early = result.transcript_tokens_early;
  const absl::string_view words = absl::StripAsciiWhitespace(result.transcript);
  // A model that hears by features writes none.
  const bool written = !words.empty() || !result.heard;
  if (written) outlet_->Emit(InputTranscript{std::string(words), result.language}, current_.turn.id);
}

// ---------------------------------------------------------------- speculation

void Responses::Speculate(Utterance so_far) {
  if (!turn_open() || !waiting_.empty() || so_far.samples.empty()) return;
  if (!speculation_config_.enabled || refused_ || speculations_ > speculation_config_.max_retries) return;
  ++speculations_;
  speculation_ = std::make_unique<Speculation>();
  speculation_->attempt = ++last_attempt_;
  speculation_->begin = so_far.begin;
  speculation_->samples = so_far.samples.size();
  speculation_->frames = host_->TakeTurnFrames();
  speculation_->mark = conversation_->Speculate();
  speculation_->begun = clock_->Now();
  AppendSpeech(std::move(so_far.samples), speculation_->attempt);
}

void Responses::TranscribeEarly(std::vector<float> samples) {
  if (turn_open() && waiting_.empty()) conversation_->TranscribeEarly(std::move(samples));
}

bool Responses::IsSpeculatedOn(const Utterance& utterance) const {
  return utterance.begin == speculation_->begin && utterance.samples.size() == speculation_->samples;
}

void Responses::HoldSpeech(const absl::StatusOr<engine::SpeechResult>& result) {
  if (absl::IsResourceExhausted(result.status())) return RefuseSpeculation();
  if (!result.ok()) return host_->OnConversationFailed(result.status());
  speculation_->speech = *result;
  if (result->heard) speculation_->answer = Ask(speculation_->attempt);
}

void Responses::RefuseSpeculation() {
  refused_ = true;
  DropSpeculation();
}

void Responses::DropSpeculation() {
  if (speculation_ == nullptr) return;
  const std::unique_ptr<Speculation> dropped = std::move(speculation_);
  if (dropped->speech.has_value()) wasted_tokens_ += dropped->speech->tokens;
  if (!dropped->tokens.empty()) wasted_tokens_ += dropped->tokens.back().tokens;
  conversation_->Rewind(dropped->mark);
  host_->GiveBackFrames(std::move(dropped->frames));
  host_->OnResponseState();
}

void Responses::DropForFrame() {
  if (speculation_ != nullptr && clock_->Now() - speculation_->begun >= kFrameGrace) DropSpeculation();
}

void Responses::ForgetSpeech() {
  DropSpeculation();
  conversation_->TranscribeEarly({});
  speculations_ = 0;
  wasted_tokens_ = 0;
  refused_ = false;
}

// The turn ended where it was thought to.
void Responses::Accept(UserTurn turn) {
  const std::unique_ptr<Speculation> held = std::move(speculation_);
  conversation_->Promote();
  Open(std::move(turn), std::move(held->frames));
  current_.attempt = held->attempt;
  current_.mark = held->mark;
  current_.times.speech_queued = held->begun;
  current_.times.speculation = SpeculationOutcome::kHit;
  if (!held->speech.has_value()) return;  // it is being read
  if (held->answer == 0) return TakeSpeech(*held->speech);
  TellTranscript(*held->speech);
  StartAnswer(held->answer);
  for (TokenDelta& delta : held->tokens) OnText(held->attempt, std::move(delta));
  if (held->done.has_value()) EndAnswer(*held->done);
}

// ---------------------------------------------------------------- reading and answering

void Responses::OnTextRead(const absl::StatusOr<engine::TextResult>& result) {
  if (!result.ok()) return OnReadFailed(result.status());
  TurnTimes& times = current_.times;
  times.prefill_queued = IfHappened(result->times.queued);
  times.prefill_start = IfHappened(result->times.prefill_start);
  times.prefill_end = IfHappened(result->times.prefill_end);
  times.tokens_prefilled = result->tokens;
  OnRead(/*has_content=*/true);
}

void Responses::OnReadFailed(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return host_->OnConversationFailed(status);
  // Refused, not failed: the conversation holds what it held, and its client decides how to go on.
  const uint64_t response_id = ++last_response_id_;
  outlet_->Emit(ResponseStarted{}, current_.turn.id, response_id);
  outlet_->Emit(ResponseDone{.reason = ResponseEnd::kContextFull}, current_.turn.id, response_id);
  outlet_->Emit(current_.times, current_.turn.id, response_id);
  host_->GiveBackFrames(std::move(current_.frames));
  Finish();
}

// The turn is in the conversation: answer it, if there is something to answer and nobody thought better of
// it.
void Responses::OnRead(bool has_content) {
  if (!has_content) {
    host_->GiveBackFrames(std::move(current_.frames));
    outlet_->Emit(current_.times, current_.turn.id);
    return Finish();
  }
  if (!current_.ended.has_value()) return StartAnswer(Ask(current_.attempt));
  // Interrupted or cancelled before it began: what the user said stays, and the next turn is read after it.
  uint64_t response_id = 0;
  if (current_.ended == ResponseEnd::kCancelled) {
    response_id = ++last_response_id_;
    outlet_->Emit(ResponseStarted{}, current_.turn.id, response_id);
    outlet_->Emit(ResponseDone{.reason = ResponseEnd::kCancelled}, current_.turn.id, response_id);
  }
  FillFrameTimes();
  outlet_->Emit(current_.times, current_.turn.id, response_id);
  Finish();
}

engine::AnswerId Responses::Ask(uint64_t attempt) {
  return conversation_->Answer(generation_, std::make_shared<Listener>(this, loop_, clock_, attempt));
}

// `answer` has been asked for.
void Responses::StartAnswer(engine::AnswerId answer) {
  phase_ = Phase::kAnswering;
  current_.answer.turn_id = current_.turn.id;
  current_.answer.response_id = ++last_response_id_;
  current_.answer.engine_id = answer;
  outlet_->Emit(ResponseStarted{}, current_.turn.id, last_response_id_);
}

void Responses::OnText(uint64_t attempt, TokenDelta delta) {
  if (IsHeld(attempt)) return speculation_->tokens.push_back(std::move(delta));
  if (phase_ != Phase::kAnswering || current_.attempt != attempt || current_.answer.fenced) return;
  if (delivery_paused_) return current_.held_tokens.push_back(std::move(delta));
  current_.answer.sent_tokens = delta.tokens;
  outlet_->Emit(std::move(delta), current_.turn.id, current_.answer.response_id);
}

void Responses::OnDone(uint64_t attempt, const engine::AnswerResult& result) {
  if (IsHeld(attempt)) {
    if (result.reason == engine::FinishReason::kFailed) return host_->OnConversationFailed(result.status);
    // No memory for it; a context that is full by itself is the turn's end either way.
    if (result.reason == engine::FinishReason::kContextFull && !result.status.ok())
      return RefuseSpeculation();
    speculation_->done = result;
  } else if (phase_ == Phase::kAnswering && current_.attempt == attempt) {
    if (delivery_paused_ && result.reason != engine::FinishReason::kFailed) {
      current_.held_done = result;
    } else {
      EndAnswer(result);
    }
  }
}

void Responses::PauseDelivery(absl::Duration speech) {
  if (delivery_paused_ || !answer_active()) return;
  delivery_paused_ = true;
  EmitOfActiveAnswer(ResponsePaused{speech});
}

void Responses::ResumeDelivery() {
  if (!std::exchange(delivery_paused_, false)) return;
  EmitOfActiveAnswer(ResponseResumed{});
  if (phase_ != Phase::kAnswering) return;
  for (TokenDelta& delta : std::exchange(current_.held_tokens, {}))
    OnText(current_.attempt, std::move(delta));
  EndHeldAnswer();
}

void Responses::EmitOfActiveAnswer(decltype(CallEvent::payload) payload) {
  if (phase_ == Phase::kReading) {
    outlet_->Emit(std::move(payload), current_.turn.id);
  } else {
    const Answer& answer = phase_ == Phase::kAnswering ? current_.answer : last_;
    outlet_->Emit(std::move(payload), answer.turn_id, answer.response_id);
  }
}

void Responses::EndAnswer(const engine::AnswerResult& result) {
  TurnTimes& times = current_.times;
  const engine::Usage& usage = result.turn_usage;
  if (times.prefill_queued == absl::InfinitePast()) times.prefill_queued = IfHappened(result.queued);
  if (times.prefill_start == absl::InfinitePast()) times.prefill_start = IfHappened(result.prefill_start);
  times.prefill_end = std::max(times.prefill_end, IfHappened(result.prefill_end));
  times.first_token = IfHappened(result.first_token);
  times.last_token = IfHappened(result.last_token);
  times.tokens_prefilled =
      usage.text_tokens + usage.speech_tokens + usage.frame_tokens + usage.template_tokens;
  times.answer_tokens = result.answer_tokens;
  FillFrameTimes();

  const ResponseEnd end = current_.ended.value_or(EndOf(result.reason));
  outlet_->Emit(ResponseDone{.reason = end, .usage = usage, .context_tokens = result.context_tokens},
                current_.turn.id, current_.answer.response_id);
  outlet_->Emit(times, current_.turn.id, current_.answer.response_id);
  if (result.reason == engine::FinishReason::kFailed) return host_->OnConversationFailed(result.status);
  last_ = current_.answer;
  Finish();
}

bool Responses::EndHeldAnswer() {
  const auto done = std::exchange(current_.held_done, std::nullopt);
  if (done.has_value()) EndAnswer(*done);
  return done.has_value();
}

void Responses::Finish() {
  phase_ = Phase::kIdle;
  current_ = Current{};
  if (waiting_.empty()) return host_->OnResponseState();
  UserTurn next = std::move(waiting_.front());
  waiting_.pop_front();
  BeginTurn(std::move(next));
}

void Responses::Interrupt(absl::Duration speech) {
  if (!answer_active()) return;
  DropSpeculation();  // it was made after the answer as it was
  uint64_t turn_id = 0;
  uint64_t response_id = 0;
  int kept = 0;
  if (phase_ == Phase::kReading) {
    turn_id = current_.turn.id;
    current_.ended = ResponseEnd::kInterrupted;
  } else {
    Answer& answer = phase_ == Phase::kAnswering ? current_.answer : last_;
    if (phase_ == Phase::kAnswering) current_.ended = ResponseEnd::kInterrupted;
    turn_id = answer.turn_id;
    response_id = answer.response_id;
    kept = HeardOf(answer);
    Fence(answer, kept);
  }
  delivery_paused_ = false;
  current_.held_tokens.clear();
  outlet_->RaiseEpoch();
  outlet_->Emit(Interrupted{kept, speech}, turn_id, response_id);
  if (!EndHeldAnswer()) host_->OnResponseState();
}

bool Responses::Cancel(uint64_t response_id) {
  if (phase_ == Phase::kReading && response_id == 0 && !current_.ended.has_value()) {
    current_.ended = ResponseEnd::kCancelled;
    host_->OnResponseState();
    return true;
  }
  if (phase_ != Phase::kAnswering || current_.answer.fenced) return false;
  if (response_id != 0 && response_id != current_.answer.response_id) return false;
  current_.ended = ResponseEnd::kCancelled;
  Fence(current_.answer, HeardOf(current_.answer));
  current_.held_tokens.clear();
  if (!EndHeldAnswer()) host_->OnResponseState();
  return true;
}

bool Responses::Ack(uint64_t response_id, int heard_tokens) {
  if (response_id == 0 || response_id > last_response_id_) return false;
  client_acks_ = true;
  Answer* answer = nullptr;
  if (phase_ == Phase::kAnswering && current_.answer.response_id == response_id) answer = &current_.answer;
  if (last_.response_id == response_id) answer = &last_;
  if (answer == nullptr) return true;  // of long ago: nothing depends on it any more
  answer->heard_tokens = std::clamp(heard_tokens, answer->heard_tokens, answer->sent_tokens);
  if (answer->fenced && heard_tokens < answer->kept_tokens) {
    // Sent before the client knew of the interruption: it heard less than was kept.
    DropSpeculation();
    answer->kept_tokens = std::max(heard_tokens, 0);
    conversation_->TrimAnswer(answer->engine_id, answer->kept_tokens);
  }
  host_->OnResponseState();
  return true;
}

bool Responses::answer_active() const {
  switch (phase_) {
    case Phase::kReading:
      return !current_.ended.has_value();
    case Phase::kAnswering:
      return !current_.answer.fenced;
    case Phase::kIdle:
      return client_acks_ && !last_.fenced && last_.heard_tokens < last_.sent_tokens;
  }
  return false;
}

// No token of the answer goes out any more, and history keeps the first `kept_tokens`.
void Responses::Fence(Answer& answer, int kept_tokens) {
  answer.fenced = true;
  answer.kept_tokens = kept_tokens;
  conversation_->CancelAnswer(answer.engine_id);
  conversation_->TrimAnswer(answer.engine_id, kept_tokens);
}

int Responses::HeardOf(const Answer& answer) const {
  return client_acks_ ? answer.heard_tokens : answer.sent_tokens;
}

void Responses::FillFrameTimes() {
  for (const TurnFrames::Frame& frame : current_.frames->frames) {
    if (frame.prefilled <= current_.times.speech_end) current_.times.tokens_prefilled_early += frame.tokens;
  }
}

}  // namespace parley::streaming

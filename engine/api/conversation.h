// One call's model state: what was said and shown so far, as the language model has it.
//
// What a conversation can be asked for are the operations of namespace op. They run on the engine's model
// thread, and none of them blocks the caller. Those of op::Queued run and complete in the order they were
// given. Those of op::Immediate act at once. Each completion is called exactly once, on the model thread, and
// must not block: post it to your own executor. A failed operation poisons its conversation only: every later
// one completes with the same status, and the engine and all other conversations go on. An operation that is
// refused before anything is done for it changes and poisons nothing: INVALID_ARGUMENT (not a picture, not
// UTF-8), FAILED_PRECONDITION (this bundle does not see, or hear), RESOURCE_EXHAUSTED (too many operations
// queued; the turn does not fit the context; the KV cache is full), DEADLINE_EXCEEDED (its deadline was over
// when its turn came).
//
// The user's turn under construction is implicit: the first frame, speech or text after an answer opens it,
// and Answer closes it. So a frame can be appended, and prefilled, before the user has finished speaking.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/api/generation.h"
#include "engine/api/media.h"
#include "proto/constants/call_config.h"

namespace parley::engine {

// Which frames stay in the model's context; ranges and defaults are those of parley.v1.ContextPolicy. The
// oldest leave when a frame is appended, and before the user's words are; never those of a turn in which
// something is being asked or answered, nor the newest of an open turn. Where a limit is passed as many as
// half of the frames may leave at once. What came after a frame that left may stay as it is, read with the
// frame in view.
struct ContextPolicy {
  int max_frames = contract::ContextPolicy::kMaxFramesDefault;  // the newest ones
  absl::Duration max_frame_age = absl::InfiniteDuration();      // since they were appended
  // Of all frames together; 0: no limit.
  int max_frame_tokens = contract::ContextPolicy::kMaxFrameTokensDefault;
};

// When the context nears the model's limit, or the KV cache is full, the oldest turns are dropped and what
// stays is prefilled again after the system prompt. A rewind to a mark within what was dropped forgets
// everything that is left.
struct Compaction {
  enum class Reason { kContextLimit, kMemory };
  Reason reason = Reason::kContextLimit;
  int turns_dropped = 0;  // of the user, with their answers
  int tokens_before = 0;  // held by the conversation
  int tokens_after = 0;
};

struct ConversationOptions {
  std::string instructions;  // system prompt, UTF-8; empty: the bundle's own
  ContextPolicy context;
  // Told of every compaction that dropped a turn, on the model thread; must not block. May be empty.
  std::function<void(const Compaction&)> on_compaction;
};

// When the parts of an operation happened, on the engine's clock.
struct OperationTimes {
  absl::Time queued;        // given by the caller
  absl::Time encode_start;  // the encoder began (frames, speech); text: when its turn came
  absl::Time encode_end;
  absl::Time prefill_start;
  absl::Time prefill_end;  // its tokens are in the KV cache
};

struct FrameResult {
  std::string description;  // the words that entered the prompt; empty where features did
  int tokens = 0;
  OperationTimes times;
};

struct SpeechResult {
  // Somebody said something in it. A model that hears by features writes no transcript of it.
  bool heard = false;
  std::string transcript;  // empty: none was written
  std::string language;    // ISO 639-1
  int tokens = 0;
  int transcript_tokens = 0;        // of the transcriber's, timestamps too
  int transcript_tokens_early = 0;  // of these, what was written when less had been heard
  // How sure the transcriber is of its words: the mean over their tokens, nats, 0 at most. Of Transcribe
  // only; else, and where it does not say, 0.
  double mean_log_probability = 0;
  OperationTimes times;
};

struct TextResult {
  int tokens = 0;
  OperationTimes times;
};

// One answer of one conversation; ids count from 1.
using AnswerId = uint64_t;

struct AnswerResult {
  FinishReason reason = FinishReason::kEndOfTurn;
  absl::Status status;  // why, with kFailed; with kContextFull, RESOURCE_EXHAUSTED if it was the KV cache
  int answer_tokens = 0;
  Usage turn_usage;        // what the turn added, the answer included
  int context_tokens = 0;  // what the conversation holds now
  absl::Time queued;
  absl::Time prefill_start;  // of the tokens that close the turn and open the answer
  absl::Time prefill_end;
  absl::Time first_token;  // InfiniteFuture when there was none
  absl::Time last_token;
};

// Receives an answer as it is made; called on the model thread, must not block.
class AnswerListener {
 public:
  virtual ~AnswerListener() = default;
  // `text`: whole UTF-8 characters, never past a stop string. `tokens`: tokens of the answer up to here.
  virtual void OnText(std::string text, int tokens) = 0;
  // Last call, exactly once.
  virtual void OnDone(const AnswerResult& result) = 0;
};

// A place in the conversation to come back to.
using MarkId = uint64_t;

// A completion.
template <typename Result>
using Done = absl::AnyInvocable<void(absl::StatusOr<Result>)>;

namespace op {

// Encodes an upright picture and prefills it into the user's turn.
struct AppendFrame {
  ImagePtr image;
  // On the engine's clock. A picture whose encoding has not begun by then is refused.
  absl::Time deadline = absl::InfiniteFuture();
  Done<FrameResult> done;
};

// Encodes one utterance (mono, kSampleRateHz) and prefills it into the user's turn.
struct AppendSpeech {
  std::vector<float> samples;
  Done<SpeechResult> done;
};

// Prefills typed text, valid UTF-8, into the user's turn.
struct AppendText {
  std::string text;
  Done<TextResult> done;
};

// Closes the user's turn and generates. Later operations wait until the answer is done.
struct Answer {
  GenerationConfig config;
  std::shared_ptr<AnswerListener> listener;
};

// Cuts an answer in history to its first `tokens` tokens (clamped to what was made). What was appended after
// it is kept. An unknown answer is a no-op.
struct TrimAnswer {
  AnswerId answer = 0;
  int tokens = 0;
};

// A place to come back to: it stands after the operations queued so far.
struct Mark {};

// A mark, and what is queued from here on is speculative. It is done in order and with the same results, but
// only with what the device has to spare (engine/schedule/step_planner.h), so that it may wait without bound.
// Speculation ends with Promote, or with a Rewind to this mark or an earlier one. Within speculation: a mark
// like any other.
struct Speculate {};

// Forgets everything appended since the mark. Operations queued between the two that are not complete yet
// complete with CANCELLED, an answer under way at its next token; cuts of earlier answers stand. Marks taken
// after it are gone; the mark itself stays. An unknown mark is a no-op.
struct Rewind {
  MarkId mark = 0;
};

// What was said so far of an utterance that goes on. It is transcribed when the device has nothing else to do
// and no operation of this conversation is under way, so that AppendSpeech of samples that begin with these
// takes less time. It changes nothing else, completes nothing and cannot fail. The newest takes the place of
// the one before; an empty one forgets it. The next AppendSpeech ends it.
struct TranscribeEarly {
  std::vector<float> samples;
};

// Transcribes what is said and leaves the conversation as it is: for what may be no turn, like a sound made
// while an answer is heard. It is done before everything else that this conversation has to do, an answer
// under way included. The newest takes the place of the one before, which completes with CANCELLED. One that
// fails poisons nothing. SpeechResult::tokens is 0.
struct Transcribe {
  std::vector<float> samples;
  Done<SpeechResult> done;
};

// Stops an answer at the next token, whether it has begun or not. The tokens made so far stay in history. An
// answer without a token leaves no trace: the user's turn stays open. A no-op when it is done or unknown.
struct CancelAnswer {
  AnswerId answer = 0;
};

// The speculation was right. What was queued since Speculate is awaited like everything else from the next
// step on, wherever it has got to. Without speculation a no-op.
struct Promote {};

// In the order they were given.
using Queued =
    std::variant<AppendFrame, AppendSpeech, AppendText, Answer, TrimAnswer, Mark, Speculate, Rewind>;
// At once, whatever is queued.
using Immediate = std::variant<TranscribeEarly, Transcribe, CancelAnswer, Promote>;

// Those with a completion.
template <typename Op>
concept HasDone = requires(Op& operation) {
  operation.done;
};

}  // namespace op

using Operation = std::variant<op::Queued, op::Immediate>;

// Thread-safe. Destruction cancels what is queued and under way (completions get CANCELLED, a listener gets
// OnDone(kCancelled)), frees the model state at the next step, and does not wait.
class Conversation {
 public:
  virtual ~Conversation() = default;

  // Returns the id of what the operation makes: the AnswerId of an Answer, the MarkId of a Mark or Speculate;
  // else 0.
  virtual uint64_t Submit(Operation operation) = 0;

  // The operations by name.
  void AppendFrame(ImagePtr image, absl::Time deadline, Done<FrameResult> done) {
    Submit(op::AppendFrame{std::move(image), deadline, std::move(done)});
  }
  void AppendFrame(ImagePtr image, Done<FrameResult> done) {
    AppendFrame(std::move(image), absl::InfiniteFuture(), std::move(done));
  }
  void AppendSpeech(std::vector<float> samples, Done<SpeechResult> done) {
    Submit(op::AppendSpeech{std::move(samples), std::move(done)});
  }
  void AppendText(std::string text, Done<TextResult> done) {
    Submit(op::AppendText{std::move(text), std::move(done)});
  }
  AnswerId Answer(GenerationConfig config, std::shared_ptr<AnswerListener> listener) {
    return Submit(op::Answer{std::move(config), std::move(listener)});
  }
  void TrimAnswer(AnswerId answer, int tokens) { Submit(op::TrimAnswer{answer, tokens}); }
  MarkId Mark() { return Submit(op::Mark{}); }
  MarkId Speculate() { return Submit(op::Speculate{}); }
  void Rewind(MarkId mark) { Submit(op::Rewind{mark}); }
  void TranscribeEarly(std::vector<float> samples) { Submit(op::TranscribeEarly{std::move(samples)}); }
  void Transcribe(std::vector<float> samples, Done<SpeechResult> done) {
    Submit(op::Transcribe{std::move(samples), std::move(done)});
  }
  void CancelAnswer(AnswerId answer) { Submit(op::CancelAnswer{answer}); }
  void Promote() { Submit(op::Promote{}); }
};

}  // namespace parley::engine

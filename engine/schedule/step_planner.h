// What the model thread does next: pure policy on plain structs. No tensors, no threads; time is told.
//
// Work is done in passes. In a pass an encoder runs at most once, and then the language model at most once.
//
// The language model's step holds one token of every decoding conversation. What is left of its budget goes
// to chunks of prefill. Awaited prefill goes before that of frames, which keep an eighth of the budget. A
// step with prefill holds no more tokens than `step_limit` allows by the measured time of a token.
//
// An encoder pass is a chunk of speech, in one batch with chunks of other calls where that is possible, or it
// is as many frames as `encoder_budget` allows by the measured time of a frame. So no frame delays a decoding
// token by more than one encoder pass. Awaited speech goes before frames. After
// `speech_chunks_per_frame_pass` chunks of it the frames get a pass, so that nothing starves.
//
// Speculation is an answer begun at a pause that may not be the end of the turn. It gets what is left over:
//   prefill, decoding  when nothing is awaited; at most `max_speculative_rows` tokens a step
//   encoding           when nothing is awaited and no frame is to be encoded
//   piggybacking       up to `max_piggybacked` decoding tokens are added to a step with awaited work, as long
//                      as such steps take no longer than `step_budget`; as many chunks of speech are added to
//                      the batch of an awaited one
//   beginning          not within `speculation_cooldown` of a moment when the device was loaded: awaited work
//                      was left out of a pass, or a step with an awaited token took longer than `step_budget`
// So speculation delays work that comes to be awaited by no more than the pass under way. Speculation may
// starve. The turn is then read and answered when it is over.
//
// Idle work is speech of a turn that goes on, transcribed early. It is done when there is nothing else to do,
// not even speculation, and when speculation may begin.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace parley::engine::schedule {

struct StepLimits {
  int max_rows = 256;         // tokens in a step, decoding ones included
  int max_prefill_rows = 64;  // of these, prefill while a conversation decodes
  int max_decodes = 64;       // conversations that decode in one step; the others take turns
  // How long a step with prefill or speculation may take, by the measured time of a token. A token that comes
  // to be due meanwhile is delayed by no more than this, and so is the end of a conversation that is closed.
  // 16 tokens of prefill are always allowed.
  absl::Duration step_limit = absl::Milliseconds(80);
  int speech_chunks_per_frame_pass = 8;
  int max_batched_chunks = 8;                              // of speech
  int max_frames = 8;                                      // in one encoder pass
  absl::Duration encoder_budget = absl::Milliseconds(50);  // of a pass over frames
  int max_speculative_rows = 32;
  int max_piggybacked = 4;
  absl::Duration step_budget = absl::Milliseconds(50);
  absl::Duration speculation_cooldown = absl::Milliseconds(250);
};

using WorkId = uint64_t;  // of a conversation; not 0

// What is to be computed.
enum class WorkKind {
  kDecode,        // the next token of an answer
  kPrefill,       // tokens into the KV cache
  kEncodeSpeech,  // a chunk of a transcription
  kEncodeFrame,   // a picture
};

// Who needs it.
enum class Urgency {
  kAwaited,      // an answer that somebody waits for needs it
  kBackground,   // a frame of a turn that goes on
  kSpeculative,  // an answer begun at a pause that may not be the end of the turn
  kIdle,         // speech of a turn that goes on; only when there is nothing else to do
};

// What one conversation wants next; a conversation wants one thing at a time.
struct Want {
  WorkId id = 0;
  WorkKind kind = WorkKind::kDecode;
  Urgency urgency = Urgency::kAwaited;
  bool begun = false;      // speech of which a chunk is done
  int rows = 1;            // tokens to prefill
  bool batchable = false;  // a chunk of speech that costs little more in one batch with others
};

struct StepPlan {
  struct Rows {
    WorkId id = 0;
    int rows = 0;
    WorkKind kind = WorkKind::kDecode;
    Urgency urgency = Urgency::kAwaited;
  };
  // The encoder pass, before the step: chunks of speech in one batch, or frames; empty: none.
  std::vector<WorkId> encode;
  std::vector<Rows> step;  // empty: none
  // When to plan again though nothing new is wanted: speculation may begin then.
  absl::Time resume = absl::InfiniteFuture();
  bool empty() const { return encode.empty() && step.empty(); }
};

// One thread.
class StepPlanner {
 public:
  explicit StepPlanner(StepLimits limits) : limits_(limits) {}

  // `wants`: every conversation that has something to do, in any order. Of one kind and urgency those served
  // longest ago come first; new ones come after those that are waiting.
  StepPlan Plan(absl::Span<const Want> wants, absl::Time now);
  // How long what was planned took: an encoder pass over `frames` pictures, a step that ended at `now`.
  void FramesTook(int frames, absl::Duration took);
  void StepTook(const StepPlan& plan, absl::Duration took, absl::Time now);
  // What a token takes in a step of many, as measured; zero: not yet.
  absl::Duration row_time() const { return row_time_; }
  // A conversation is gone.
  void Forget(WorkId id) { last_served_.erase(id); }

 private:
  struct Waiter;
  using Queue = std::vector<Waiter>;  // in the order of service

  Queue InOrderOfService(absl::Span<const Want> wants);
  // The first of its kind and urgency; null: there is none.
  static const Waiter* First(const Queue& queue, WorkKind kind, Urgency urgency);
  void PlanEncoding(const Queue& queue, StepPlan& plan);
  // `first`, and those that can be batched with it.
  void TakeChunks(const Want& first, const Queue& queue, StepPlan& plan) const;
  // Up to `most` chunks in all.
  void BatchChunks(const Queue& queue, Urgency urgency, size_t most, StepPlan& plan) const;
  void PlanStep(const Queue& queue, StepPlan& plan);
  void PlanSpeculation(const Queue& queue, absl::Time now, StepPlan& plan);
  void PlanSpeculativeEncoding(const Queue& queue, absl::Time now, StepPlan& plan);
  int FramesAPass() const;
  int RowsAStep() const;
  void Serve(WorkId id) { last_served_[id] = ++services_; }

  const StepLimits limits_;
  uint64_t services_ = 0;  // orders the conversations
  int speech_chunks_ = 0;  // since the last pass over frames, while frames waited for one
  absl::flat_hash_map<WorkId, uint64_t> last_served_;
  absl::Duration frame_time_ = absl::ZeroDuration();    // of a picture, smoothed; zero: not measured yet
  absl::Duration row_time_ = absl::ZeroDuration();      // of a token in a step of many, likewise
  absl::Duration awaited_step_ = absl::ZeroDuration();  // that the last step with awaited work took
  absl::Time loaded_until_ = absl::InfinitePast();
};

}  // namespace parley::engine::schedule

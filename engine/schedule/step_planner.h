// What the model thread does next: pure policy on plain structs. No tensors, no threads; time is told.
//
// Work comes in steps. A step holds one token of every decoding conversation and, in what is left of its
// budget, chunks of prefill: what an answer waits for before frames, though frames keep an eighth of the
// budget. With prefill a step holds no more than the measured time of a token lets into `step_limit`. Before
// each step at most one slice of tower work is done: a transcription slice, which that of other calls joins
// where it can, or one pass over the frames of several calls, as many as the measured time of a frame lets
// into `tower_budget`. So no frame delays a decoding token by more than one slice. Speech that someone waits
// for goes before frames, but after `speech_slices_per_frame_slice` slices of speech the frames get theirs:
// nothing starves.
//
// Speculation (an answer begun at a pause that may not be the end of the turn) comes last and gets what is
// left:
//   slices, prefill, decoding
//                    only in a pass in which nobody waits for anything, slices if no frame wants the tower
//                    either; at most `max_speculative_rows` tokens a step. Whoever comes to wait meanwhile is
//                    held up by no more than the slice and the step under way.
//   riding along     up to `max_speculative_rides` decoding rows join a step that runs for somebody, while
//                    such steps take no longer than `step_budget`; slices join one that somebody waits for.
//   beginning        not within `speculation_rest` of a moment when the device was loaded: somebody who waits
//                    was left out of a pass, or a step with a decoding token took longer than `step_budget`.
// Speculation may starve: it is then done the plain way, when the turn is over. Speech that goes on is
// transcribed ahead when there is nothing else to do, not even speculation, under the conditions for
// beginning.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace parley::engine::schedule {

struct StepLimits {
  int max_rows = 256;         // tokens a step may hold, decoding ones included
  int max_prefill_rows = 64;  // of which prefill, while somebody decodes
  int max_decodes = 64;       // conversations that decode in one step; the others take turns
  // How long a step with prefill or speculation may take, by the measured time of a row: who hangs up is gone
  // after it, and a token that comes to be due meanwhile is held up no longer. 16 rows of prefill may pass.
  absl::Duration step_limit = absl::Milliseconds(80);
  int speech_slices_per_frame_slice = 8;
  int max_joined_slices = 8;  // of speech, at once
  int max_frames = 8;         // in one pass of the vision tower
  absl::Duration tower_budget = absl::Milliseconds(50);
  int max_speculative_rows = 32;
  int max_speculative_rides = 4;
  absl::Duration step_budget = absl::Milliseconds(50);
  absl::Duration speculation_rest = absl::Milliseconds(250);
};

using WorkId = uint64_t;  // of a conversation; not 0

// What is to be computed.
enum class WorkKind {
  kDecode,        // the next token of an answer
  kPrefill,       // tokens into the KV cache
  kEncodeSpeech,  // a slice of a transcription
  kEncodeFrame,   // a picture
};

// Who needs it.
enum class Urgency {
  kAwaited,      // somebody waits for an answer that needs it
  kBackground,   // nobody waits yet: a frame of a turn that goes on
  kSpeculative,  // an answer begun at a pause that may not be the end of the turn
  kIdle,         // speech of a turn that goes on; only when there is nothing else to do
};

// What one conversation wants next; a conversation wants one thing at a time.
struct Want {
  WorkId id = 0;
  WorkKind kind = WorkKind::kDecode;
  Urgency urgency = Urgency::kAwaited;
  bool begun = false;  // of speech: a slice of it is done
  int rows = 1;        // tokens to prefill
  bool joins = false;  // a slice of speech that costs little more with others of its sort
};

struct StepPlan {
  struct Rows {
    WorkId id = 0;
    int rows = 0;
    WorkKind kind = WorkKind::kDecode;
    Urgency urgency = Urgency::kAwaited;
  };
  // Whose slice comes before the step: several when they are frames, or slices of speech that join; empty:
  // nobody's.
  std::vector<WorkId> tower;
  std::vector<Rows> step;  // empty: no step
  // When there is something to do though nobody comes: a speculation may begin.
  absl::Time resume = absl::InfiniteFuture();
  bool empty() const { return tower.empty() && step.empty(); }
};

// One thread.
class StepPlanner {
 public:
  explicit StepPlanner(StepLimits limits) : limits_(limits) {}

  // `wants`: every conversation that has something to do, in any order. Of one kind and urgency those served
  // longest ago come first; new ones come after those that wait already.
  StepPlan Plan(absl::Span<const Want> wants, absl::Time now);
  // What was planned took so long: a tower pass over `frames` pictures, a step that ended at `now`.
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
  void PlanTower(const Queue& queue, StepPlan& plan);
  // `first`, and those that join it.
  void TakeSlices(const Want& first, const Queue& queue, StepPlan& plan) const;
  // Up to `most` slices in all.
  void JoinSlices(const Queue& queue, Urgency urgency, size_t most, StepPlan& plan) const;
  void PlanStep(const Queue& queue, StepPlan& plan);
  void PlanSpeculation(const Queue& queue, absl::Time now, StepPlan& plan);
  void PlanSpeculativeTower(const Queue& queue, absl::Time now, StepPlan& plan);
  int FramesAPass() const;
  int RowsAStep() const;
  void Serve(WorkId id) { last_served_[id] = ++turn_; }

  const StepLimits limits_;
  uint64_t turn_ = 0;      // counts services; orders the conversations
  int speech_slices_ = 0;  // since a frame had one while frames waited
  absl::flat_hash_map<WorkId, uint64_t> last_served_;
  absl::Duration frame_time_ = absl::ZeroDuration();    // of a picture, smoothed; zero: not measured yet
  absl::Duration row_time_ = absl::ZeroDuration();      // of a token in a step of many, likewise
  absl::Duration awaited_step_ = absl::ZeroDuration();  // the last step that somebody waited for took so long
  absl::Time loaded_until_ = absl::InfinitePast();
};

}  // namespace parley::engine::schedule

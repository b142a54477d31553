// What the model thread does next: pure policy on plain structs. No tensors, no threads, no clock.
//
// Work comes in steps. A step holds one token of every decoding conversation and, in what is left of its
// budget, chunks of prefill: what an answer waits for before frames, though frames keep an eighth of the
// budget. Before each step at most one slice of tower work is done (a transcription slice or one frame's
// encoding), so that no frame delays a decoding token by more than one slice. Speech that someone waits for
// goes before frames, but after `speech_slices_per_frame_slice` slices of speech one frame gets its slice:
// nothing starves.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace parley::engine::schedule {

struct StepLimits {
  int max_rows = 256;         // tokens a step may hold, decoding ones included
  int max_prefill_rows = 64;  // of which prefill, while somebody decodes
  int max_decodes = 64;       // conversations that decode in one step; the others take turns
  int speech_slices_per_frame_slice = 8;
};

using WorkId = uint64_t;  // of a conversation; not 0

enum class WorkKind {
  kDecode,          // the next token of an answer
  kAwaitedPrefill,  // tokens an answer waits for: speech, text, the answer's opening, a turn's closing
  kFramePrefill,
  kSpeechSlice,  // tower work
  kFrameSlice,
};

// What one conversation wants next; a conversation wants one thing at a time.
struct Want {
  WorkId id = 0;
  WorkKind kind = WorkKind::kDecode;
  int rows = 1;  // tokens to prefill
};

struct StepPlan {
  struct Rows {
    WorkId id = 0;
    int rows = 0;
    WorkKind kind = WorkKind::kDecode;
  };
  WorkId tower = 0;        // whose slice comes before the step; 0: nobody's
  std::vector<Rows> step;  // empty: no step
  bool empty() const { return tower == 0 && step.empty(); }
};

// One thread.
class StepPlanner {
 public:
  explicit StepPlanner(StepLimits limits) : limits_(limits) {}

  // `wants`: every conversation that has something to do, in any order. Within a kind those served longest
  // ago come first; new ones come after those that wait already.
  StepPlan Plan(absl::Span<const Want> wants);
  // A conversation is gone.
  void Forget(WorkId id) { last_served_.erase(id); }

 private:
  struct Waiting;
  void Serve(WorkId id) { last_served_[id] = ++turn_; }

  const StepLimits limits_;
  uint64_t turn_ = 0;      // counts services; orders the conversations
  int speech_slices_ = 0;  // since a frame had one while frames waited
  absl::flat_hash_map<WorkId, uint64_t> last_served_;
};

}  // namespace parley::engine::schedule

// Keeps one conversation within what it may hold: forgets old frames, compacts, evicts when the page pool is
// full. The history decides what may go; here is when.
//
//   a frame is appended       the oldest beyond the policy are forgotten. Large ones in place: pages freed,
//                             nothing prefilled. Small ones (a label's words) are cut out, the older half at
//                             once, and what stays is prefilled again: it was read with them in view, and a
//                             small language model makes little of a frame whose forerunners are gone
//   nothing is being asked    positions near the model's limit: compaction, at the cost of prefilling a
//                             quarter of the context, while nobody waits if it can be helped
//   a turn begins             the pool is short: compaction to half
//   no room for what is asked compaction as far as it must go, then refusal
#pragma once

#include <functional>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/api/conversation.h"
#include "engine/model/language_model.h"
#include "engine/runtime/conversation_history.h"

namespace parley::engine {

struct ContextLimits {
  // Shares of the model's context.
  double compact_above = 0.75;  // positions taken
  double keep = 0.25;           // of tokens, after a compaction
  // Frames are cut out where no more tokens than this are then prefilled again; else forgotten in place.
  int reread_tokens = 384;
};

// One thread. Every method leaves the sequence, which may be null, no longer than what history has of it.
class ContextKeeper {
 public:
  struct Counts {
    int64_t frames_forgotten = 0;
    int64_t compactions = 0;
  };

  // `history` must outlive it.
  ContextKeeper(ConversationHistory* history, const ContextLimits& limits, ContextPolicy policy,
                std::function<void(const Compaction&)> on_compaction)
      : history_(history), limits_(limits), policy_(policy), on_compaction_(std::move(on_compaction)) {}

  // ConversationHistory::AppendPart and OpenAnswer, making room first; `pool_short`: the conversation could
  // not take the pages of a turn now. `tokens`: of the answer, at most.
  int AppendPart(ConversationHistory::PartKind kind, absl::string_view words, absl::Time now, bool pool_short,
                 Sequence* sequence);
  bool OpenAnswer(AnswerId answer, int tokens, Sequence* sequence);
  // The conversation has nothing to do.
  void Idle(Sequence* sequence);
  // The pool has no page for it: evicts its oldest frame, or else turns. False when there is nothing to
  // evict.
  bool Evict(Sequence* sequence);
  // History was cut: the sequence follows.
  void Truncate(Sequence* sequence);

  const Counts& counts() const { return counts_; }

 private:
  void ForgetOldestFrame(bool in_place, Sequence* sequence);
  void ForgetByPolicy(absl::Time now, Sequence* sequence);
  void CompactNearLimit(Sequence* sequence);
  void Compact(Compaction::Reason reason, const ConversationHistory::Drop& drop, Sequence* sequence);
  int Share(double share) const { return static_cast<int>(share * history_->capacity()); }

  ConversationHistory* const history_;
  const ContextLimits limits_;
  const ContextPolicy policy_;
  const std::function<void(const Compaction&)> on_compaction_;
  Counts counts_;
};

}  // namespace parley::engine

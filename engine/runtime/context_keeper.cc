#include "engine/runtime/context_keeper.h"

#include <algorithm>

namespace parley::engine {
namespace {

using Reason = Compaction::Reason;

}  // namespace

void ContextKeeper::Truncate(Sequence* sequence) {
  const int keep = history_->TakeValidPrefix();
  if (sequence != nullptr && sequence->length() > keep) sequence->Truncate(keep);
}

int ContextKeeper::AppendPart(ConversationHistory::PartKind kind, absl::string_view words, absl::Time now,
                              bool pool_short, Sequence* sequence) {
  if (!history_->asking()) {
    ForgetByPolicy(now, sequence);
    CompactNearLimit(sequence);
  }
  if (pool_short && !history_->turn_open()) {
    const ConversationHistory::Drop drop = history_->PlanCompaction(history_->held() / 2, history_->held());
    if (drop.turns > 0) Compact(Reason::kMemory, drop, sequence);
  }
  int appended = history_->AppendPart(kind, words, now);
  if (appended < 0) {
    const int room = history_->RoomForPart(words);
    if (history_->PlanCompaction(0, 0).held > room) return appended;
    Compact(Reason::kContextLimit, history_->PlanCompaction(Share(limits_.keep), room), sequence);
    appended = history_->AppendPart(kind, words, now);
  }
  if (kind == ConversationHistory::PartKind::kFrame) ForgetByPolicy(now, sequence);
  return appended;
}

bool ContextKeeper::OpenAnswer(AnswerId answer, int tokens, Sequence* sequence) {
  const int wanted = history_->RoomForAnswer(tokens);
  if (history_->size() > wanted) {
    // A turn that leaves no room for so long an answer gets what there is.
    const int room = std::max(wanted, history_->PlanCompaction(0, 0).held);
    const ConversationHistory::Drop drop = history_->PlanCompaction(Share(limits_.keep), room);
    if (drop.held < history_->size()) Compact(Reason::kContextLimit, drop, sequence);
  }
  return history_->OpenAnswer(answer);
}

void ContextKeeper::Idle(Sequence* sequence) {
  if (!history_->turn_open()) CompactNearLimit(sequence);
}

bool ContextKeeper::Evict(Sequence* sequence) {
  if (history_->MayForget() > 0) {
    ForgetOldestFrame(/*in_place=*/true, sequence);
    return true;
  }
  const ConversationHistory::Drop drop = history_->PlanCompaction(history_->held() / 2, history_->held());
  if (drop.turns == 0) return false;
  Compact(Reason::kMemory, drop, sequence);
  return true;
}

void ContextKeeper::ForgetOldestFrame(bool in_place, Sequence* sequence) {
  const ConversationHistory::Frame frame = history_->oldest_frame();
  const int filled = sequence == nullptr || !in_place ? 0 : sequence->length();
  history_->ForgetOldestFrame(filled);
  if (frame.end <= filled) {
    sequence->Forget(frame.begin, frame.end);
  } else {
    Truncate(sequence);
  }
  ++counts_.frames_forgotten;
}

void ContextKeeper::ForgetByPolicy(absl::Time now, Sequence* sequence) {
  const int due = history_->ToForget(policy_, now);
  if (due == 0) return;
  // Half of them at once: then a frame is read again once, on average.
  const int half = std::min(history_->MayForget(), std::max(due, history_->frames() / 2));
  const bool again = history_->TokensAfterCutting(half) <= limits_.reread_tokens;
  for (int i = 0; i < (again ? half : due); ++i) ForgetOldestFrame(/*in_place=*/!again, sequence);
}

void ContextKeeper::CompactNearLimit(Sequence* sequence) {
  if (history_->size() <= Share(limits_.compact_above)) return;
  const ConversationHistory::Drop drop = history_->PlanCompaction(Share(limits_.keep), history_->capacity());
  // Not for little: what stays must be prefilled again.
  if (history_->size() - drop.held >= history_->capacity() / 8)
    Compact(Reason::kContextLimit, drop, sequence);
}

void ContextKeeper::Compact(Reason reason, const ConversationHistory::Drop& drop, Sequence* sequence) {
  Compaction compaction = {reason, drop.turns, history_->held(), drop.held};
  history_->Compact(drop.turns);
  compaction.tokens_after = history_->held();  // the first turn may open with fewer
  Truncate(sequence);
  ++counts_.compactions;
  if (on_compaction_ && drop.turns > 0) on_compaction_(compaction);
}

}  // namespace parley::engine

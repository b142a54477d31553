// What one conversation holds: its tokens, and their KV cache, which is filled by steps of the language
// model.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/api/conversation.h"
#include "engine/model/model.h"
#include "engine/runtime/context_keeper.h"
#include "engine/runtime/conversation_history.h"
#include "engine/runtime/prompt_cache.h"
#include "engine/schedule/step_planner.h"

namespace parley::engine {

// Model thread only, but for construction.
class ConversationContext {
 public:
  // `id` is the conversation's. `model` and `prompts` must outlive it.
  ConversationContext(schedule::WorkId id, ConversationHistory history, const ConversationOptions& options,
                      const ContextLimits& limits, Model* model, PromptCache* prompts);
  ~ConversationContext() { Close(); }

  // Takes a KV cache, if there is none, and shares the prefilled system prompt: it begins with that of
  // another conversation, or leaves its own to others.
  absl::Status Open();
  // Gives the KV cache back.
  void Close();
  bool open() const { return sequence_ != nullptr; }

  ConversationHistory& history() { return history_; }
  const ConversationHistory& history() const { return history_; }
  int64_t kv_bytes() const { return sequence_ == nullptr ? 0 : sequence_->bytes(); }
  int64_t kv_pages() const { return sequence_ == nullptr ? 0 : sequence_->pages(); }
  const ContextKeeper::Counts& counts() const { return keeper_.counts(); }

  // See ContextKeeper.
  int AppendPart(ConversationHistory::PartKind kind, absl::string_view words, absl::Time now,
                 bool pool_short) {
    return keeper_.AppendPart(kind, words, now, pool_short, sequence_.get());
  }
  bool OpenAnswer(AnswerId answer, int tokens) { return keeper_.OpenAnswer(answer, tokens, sequence_.get()); }
  void Idle() { keeper_.Idle(sequence_.get()); }
  bool Evict() { return keeper_.Evict(sequence_.get()); }
  void Truncate() { keeper_.Truncate(sequence_.get()); }

  // Tokens that are not in the KV cache yet.
  int unfilled() const { return history_.size() - (sequence_ == nullptr ? 0 : sequence_->length()); }
  // The system prompt is among them. REQUIRES: open().
  bool system_unfilled() const { return sequence_->length() < history_.system_size(); }
  // Another conversation is prefilling the same system prompt.
  bool prompt_pending() const { return prompt_pending_; }
  // Takes the pages for the next `rows` of them, at most `most`. REQUIRES: open().
  absl::Status ReservePages(int rows, int64_t most);
  // Those of a step. REQUIRES: ReservePages took the pages for as many.
  // `requests`, and what it returns, must live until the step is complete.
  StepEntry NextStep(int rows, absl::Span<const RowRequest> requests);

 private:
  void ShareSystemPrompt();

  const schedule::WorkId id_;
  Model* const model_;
  PromptCache* const prompts_;
  ConversationHistory history_;
  ContextKeeper keeper_;
  std::unique_ptr<Sequence> sequence_;
  bool prompt_shared_ = false;
  bool prompt_pending_ = false;
  std::vector<int> page_starts_;  // of the step under way
};

}  // namespace parley::engine

#include "engine/runtime/conversation_context.h"

#include <utility>

#include "absl/status/statusor.h"

namespace parley::engine {

ConversationContext::ConversationContext(schedule::WorkId id, ConversationHistory history,
                                         const ConversationOptions& options, const ContextLimits& limits,
                                         Model* model, PromptCache* prompts)
    : id_(id),
      model_(model),
      prompts_(prompts),
      history_(std::move(history)),
      keeper_(&history_, limits, options.context, options.on_compaction) {}

absl::Status ConversationContext::Open() {
  if (sequence_ == nullptr) {
    absl::StatusOr<std::unique_ptr<Sequence>> sequence = model_->language_model->NewSequence();
    if (!sequence.ok()) return sequence.status();
    sequence_ = *std::move(sequence);
  }
  ShareSystemPrompt();
  return absl::OkStatus();
}

void ConversationContext::Close() {
  prompts_->Release(id_);
  sequence_.reset();
}

void ConversationContext::ShareSystemPrompt() {
  if (prompt_shared_) return;
  const auto prompt = history_.tokens().first(history_.system_size());
  if (!system_unfilled()) {
    prompts_->Put(prompt, *sequence_);
    prompt_shared_ = true;
  } else if (std::unique_ptr<Sequence> shared = prompts_->Find(prompt)) {
    sequence_ = std::move(shared);
    prompt_shared_ = true;
  }
  prompt_pending_ = !prompt_shared_ && !prompts_->Claim(prompt, id_);
}

absl::Status ConversationContext::ReservePages(int rows, int64_t most) {
  const int filled = sequence_->length();
  history_.PageStarts(filled, filled + rows, page_starts_);
  return sequence_->Reserve(rows, page_starts_, most);
}

StepEntry ConversationContext::NextStep(int rows, absl::Span<const RowRequest> requests) {
  return {.sequence = sequence_.get(),
          .tokens = history_.tokens().subspan(sequence_->length(), rows),
          .page_starts = page_starts_,
          .requests = requests};
}

}  // namespace parley::engine

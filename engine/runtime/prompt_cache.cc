#include "engine/runtime/prompt_cache.h"

#include <algorithm>

namespace parley::engine {

std::unique_ptr<Sequence> PromptCache::Find(absl::Span<const TokenId> tokens) {
  const auto found = std::find_if(prompts_.begin(), prompts_.end(),
                                  [tokens](const Prompt& prompt) { return prompt.tokens == tokens; });
  if (found == prompts_.end()) return nullptr;
  prompts_.splice(prompts_.begin(), prompts_, found);
  return prompts_.front().sequence->Fork();
}

void PromptCache::Put(absl::Span<const TokenId> tokens, const Sequence& sequence) {
  if (limit_ <= 0 || tokens.empty()) return;
  const auto found = std::find_if(prompts_.begin(), prompts_.end(),
                                  [tokens](const Prompt& prompt) { return prompt.tokens == tokens; });
  if (found != prompts_.end()) return;
  prompts_.push_front({{tokens.begin(), tokens.end()}, sequence.Fork()});
  prompts_.front().sequence->Truncate(static_cast<int>(tokens.size()));
  if (prompts_.size() > static_cast<size_t>(limit_)) prompts_.pop_back();
}

bool PromptCache::Clear() {
  const bool had = !prompts_.empty();
  prompts_.clear();
  return had;
}

}  // namespace parley::engine

#include "engine/runtime/prompt_cache.h"

#include <algorithm>

namespace parley::engine {

bool PromptCache::Claim(absl::Span<const TokenId> tokens, uint64_t holder) {
  if (limit_ <= 0) return true;
  const auto found = std::find_if(claims_.begin(), claims_.end(),
                                  [tokens](const Claimed& claim) { return claim.tokens == tokens; });
  if (found != claims_.end()) return found->holder == holder;
  claims_.push_back({{tokens.begin(), tokens.end()}, holder});
  return true;
}

void PromptCache::Release(uint64_t holder) {
  claims_.erase(std::remove_if(claims_.begin(), claims_.end(),
                               [holder](const Claimed& claim) { return claim.holder == holder; }),
                claims_.end());
}

std::unique_ptr<Sequence> PromptCache::Find(absl::Span<const TokenId> tokens) {
  const auto found = std::find_if(prompts_.begin(), prompts_.end(),
                                  [tokens](const Prompt& prompt) { return prompt.tokens == tokens; });
  if (found == prompts_.end()) return nullptr;
  prompts_.splice(prompts_.begin(), prompts_, found);
  return prompts_.front().sequence->Fork();
}

void PromptCache::Put(absl::Span<const TokenId> tokens, const Sequence& sequence) {
  if (limit_ <= 0 || tokens.empty()) return;
  claims_.erase(std::remove_if(claims_.begin(), claims_.end(),
                               [tokens](const Claimed& claim) { return claim.tokens == tokens; }),
                claims_.end());
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

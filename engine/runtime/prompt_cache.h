// Prefilled system prompts, for conversations to begin with: most calls have the same one.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "engine/model/language_model.h"
#include "engine/text/token.h"

namespace parley::engine {

// Model thread. Holds the newest few by use; their pages are shared with the conversations that began with
// them, and outlive these.
class PromptCache {
 public:
  explicit PromptCache(int limit) : limit_(limit) {}

  // Whether `holder` is the one to prefill `tokens`: the first who asks is, until Put or Release. The others
  // wait for what it puts.
  bool Claim(absl::Span<const TokenId> tokens, uint64_t holder);
  void Release(uint64_t holder);
  // A sequence of its own that holds exactly `tokens`; null when there is none.
  std::unique_ptr<Sequence> Find(absl::Span<const TokenId> tokens);
  // Keeps the beginning of `sequence`, which is `tokens`. A page begins after them in every conversation, so
  // that none writes into theirs.
  void Put(absl::Span<const TokenId> tokens, const Sequence& sequence);
  // False when it was empty.
  bool Clear();

 private:
  struct Prompt {
    std::vector<TokenId> tokens;
    std::unique_ptr<Sequence> sequence;
  };

  struct Claimed {
    std::vector<TokenId> tokens;
    uint64_t holder;
  };

  const int limit_;
  std::vector<Claimed> claims_;
  std::list<Prompt> prompts_;  // the last one used first
};

}  // namespace parley::engine

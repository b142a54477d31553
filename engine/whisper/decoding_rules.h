// What Whisper may write next (openai/whisper, decoding.py: SuppressBlank, SuppressTokens,
// ApplyTimestampRules): timestamps come in pairs around text and never go back.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "engine/whisper/config.h"
#include "engine/whisper/special_tokens.h"

namespace parley::engine::whisper {

// Immutable; thread-safe. Plain memory, no Torch.
class DecodingRules {
 public:
  DecodingRules(const Config& config, const SpecialTokens& tokens);

  // Sets the scores of tokens that may not follow to minus infinity. `written`: what was written in this
  // window after the prompt. `timestamps`: how many there are in this window, 0.00 s among them.
  void Apply(absl::Span<const TokenId> written, int timestamps, absl::Span<float> logits) const;

 private:
  SpecialTokens tokens_;
  std::vector<TokenId> suppressed_;
  std::vector<TokenId> suppressed_at_begin_;
};

// How many of the last tokens only repeat what stands before them: three times the same four tokens or more,
// or nine tokens of a shorter cycle. 0: no repetition.
int RepeatedTail(absl::Span<const TokenId> text);

}  // namespace parley::engine::whisper

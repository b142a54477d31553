// What Whisper may write next (openai/whisper, decoding.py: SuppressBlank, SuppressTokens,
// ApplyTimestampRules): timestamps come in pairs around text and never go back. One rule is our own: no loop
// goes on for ever.
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

// The token that would go on with a loop, by which it may not be followed: the text ends with the same words
// kMostRepeats times, and with kLoopTokens tokens of them or more. People say a word five times in a row; a
// decoder that has lost its place in the audio says it until its positions are used up. With that one token
// forbidden it goes on with what was said next. -1: no loop. `text`: without timestamps.
inline constexpr int kMostRepeats = 8;
inline constexpr int kLoopTokens = 12;
TokenId LoopContinuation(absl::Span<const TokenId> text);

// How many of the last tokens only repeat what stands before them, where the same words end the text three
// times or more. 0: they do not.
int RepeatedTail(absl::Span<const TokenId> text);

}  // namespace parley::engine::whisper

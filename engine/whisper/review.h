// Whether what was written of a window is what was said in it, by where the decoder attended while it wrote:
// between two words that follow each other it may leave speech out, and it may write the same speech twice.
// Plain memory, no networks.
//
// Where words are heard follows the alignment of openai/whisper (timing.py), without its dynamic time
// warping, which would spread what was skipped over the words beside it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace parley::engine::whisper {

// What one token is, by its text.
enum class TokenKind {
  kWord,
  kNumber,     // as long as it takes to say: a gap beside it is none
  kMark,       // of punctuation
  kTimestamp,  // or whatever else is no text
};

struct WrittenToken {
  TokenKind kind = TokenKind::kTimestamp;
  std::string text;   // of a word or number: lower case, without spaces
  int position = -1;  // of the audio, at which it was heard; -1: nowhere in particular
};

TokenKind KindOfText(absl::string_view text);

// Sets where each token was heard. attention: [tokens, positions], each row's sum one.
void Locate(absl::Span<const float> attention, int positions, absl::Span<WrittenToken> tokens);

// Energy of every position of the audio.
using Energies = std::vector<float>;

struct Review {
  using Range = std::pair<size_t, size_t>;  // [first, second)
  // Tokens that say again what was heard before, in order.
  std::vector<Range> echoes;
  // After the first `tokens` speech was left out. What was said from `position` on is to be written anew.
  struct Skip {
    size_t tokens = 0;
    int position = 0;
    int heard_after = 0;  // words that were written after the skip, and heard
  };
  std::optional<Skip> skip;
  int words = 0;
  int heard = 0;  // of them: no echoes, and heard somewhere
};

Review ReviewTokens(absl::Span<const WrittenToken> tokens, const Energies& energies);

}  // namespace parley::engine::whisper

// SentencePiece's BPE as Llama 2 and Mistral files have it: characters merged pair by pair into the token of
// the highest score; characters that are no token become their bytes' tokens.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/text/token.h"

namespace parley::engine::text {

// U+2581, which stands for a space in the names of tokens.
inline constexpr absl::string_view kSentencePieceSpace = "\xE2\x96\x81";

// Immutable; thread-safe.
class SentencePiece {
 public:
  using Vocabulary = absl::flat_hash_map<std::string, TokenId>;

  // `vocabulary`: normal tokens by name; `scores` by id; `byte_tokens` by byte, -1 where there is none.
  SentencePiece(Vocabulary vocabulary, std::vector<float> scores, const std::array<TokenId, 256>& byte_tokens)
      : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), byte_tokens_(byte_tokens) {}

  // Appends the tokens of `text`, in which spaces are kSentencePieceSpace already. Time is O(n log n).
  void Encode(absl::string_view text, std::vector<TokenId>* out) const;

 private:
  Vocabulary vocabulary_;
  std::vector<float> scores_;
  std::array<TokenId, 256> byte_tokens_;
};

}  // namespace parley::engine::text

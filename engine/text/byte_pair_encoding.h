// Byte-level byte pair encoding: a piece's bytes, merged pair by pair, the best-ranked first.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/text/token.h"

namespace parley::engine::text {

// Immutable; thread-safe.
class BytePairEncoding {
 public:
  using Vocabulary = absl::flat_hash_map<std::string, TokenId>;

  // `vocabulary` is by the names of the file, in GPT-2's alphabet (see ByteAlphabetToBytes), as are the
  // merges. INVALID_ARGUMENT for a merge that is not a pair or whose parts or result are no tokens.
  static absl::StatusOr<BytePairEncoding> Create(const Vocabulary& vocabulary,
                                                 absl::Span<const std::string> merges);

  // Appends the piece's tokens. A byte that is no token itself is left out, as Hugging Face does without an
  // unknown token. Time is O(n log n) in the piece's length.
  void Encode(absl::string_view piece, std::vector<TokenId>* out) const;

 private:
  struct Merge {
    int32_t rank;
    TokenId merged;
  };

  BytePairEncoding() = default;

  std::array<TokenId, 256> byte_tokens_{};
  absl::flat_hash_map<uint64_t, Merge> merges_;  // by left << 32 | right
};

// GPT-2 writes each byte as a printable character: those of Latin-1 that are printable as themselves, the
// others from U+0100 on (https://github.com/openai/gpt-2, src/encoder.py, bytes_to_unicode).
std::string BytesToByteAlphabet(absl::string_view bytes);
// False when `name` holds a character that is not in the alphabet.
bool ByteAlphabetToBytes(absl::string_view name, std::string* bytes);

}  // namespace parley::engine::text

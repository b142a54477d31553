// Text to token ids and back: byte-level BPE (GPT-2, SmolLM2, Llama 3, Qwen2, Whisper) and SentencePiece BPE
// (Llama 2, Mistral, TinyLlama).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/text/token.h"

namespace parley::engine::text {

// The values of GGUF's tokenizer.ggml.token_type.
enum class TokenKind : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // <|im_start|>: never text; Hugging Face: an added token with "special": true
  kUserDefined = 4,  // Hugging Face: an added token with "special": false
  kUnused = 5,
  kByte = 6,  // "<0x41>", SentencePiece only
};

// A tokenizer as files have it; filled by engine/bundle from GGUF metadata or a Hugging Face tokenizer.json.
struct TokenizerData {
  // GGUF's tokenizer.ggml.model: "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE).
  std::string model = "gpt2";
  // GGUF's tokenizer.ggml.pre: "smollm", "gpt-2", "llama-bpe", "qwen2". Not used by "llama".
  std::string pre_tokenizer;
  std::vector<std::string> tokens;  // by id, as written in the file: byte-level tokens in GPT-2's alphabet
  std::vector<TokenKind> kinds;     // by id; empty: all normal
  std::vector<std::string> merges;  // "left right", best first; byte-level BPE
  std::vector<float> scores;        // by id; SentencePiece
  TokenId bos = -1;                 // -1: none
  TokenId eos = -1;
  bool add_bos = false;          // a prompt begins with `bos`
  bool add_space_prefix = true;  // SentencePiece: a text begins with a space
};

// Whether token names inside a text stand for the tokens. What users say is never kAllow: it could forge
// roles.
enum class SpecialTokens { kRefuse, kAllow };

// Immutable; thread-safe.
class Tokenizer {
 public:
  // INVALID_ARGUMENT for data that contradicts itself, UNIMPLEMENTED for a model or pre-tokenizer that is not
  // known, naming it and those that are.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(TokenizerData data);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  int size() const;
  TokenId bos() const;  // -1: none
  TokenId eos() const;
  bool add_bos() const;

  // Never adds `bos`. Any bytes are taken: valid UTF-8 gives what Hugging Face `tokenizers` gives; each
  // longest run of bytes that are not UTF-8 is a piece of its own and the text around it is encoded as if it
  // stood alone, so that DecodeAll(Encode(text)) == text. But for bytes that the vocabulary has no token for,
  // which are left out (SmolLM2 lacks 0x04, 0xF1 and 19 others), and SentencePiece's leading space.
  std::vector<TokenId> Encode(absl::string_view text, SpecialTokens special) const;

  // The bytes a token stands for, possibly part of a character; empty for control tokens and unknown ids.
  absl::string_view Decode(TokenId id) const;
  std::string DecodeAll(absl::Span<const TokenId> ids) const;

  // A token by its name in the file, special ones included.
  std::optional<TokenId> Find(absl::string_view name) const;
  bool IsControl(TokenId id) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace parley::engine::text

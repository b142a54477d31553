// Splits text into the pieces that byte-level BPE merges within: words, numbers, punctuation, white space.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley::engine::text {

// Immutable; thread-safe.
class PreTokenizer {
 public:
  // By GGUF's name: "smollm", "gpt-2", "llama-bpe", "qwen2". UNIMPLEMENTED for another, naming those known.
  static absl::StatusOr<std::unique_ptr<PreTokenizer>> Create(absl::string_view name);
  virtual ~PreTokenizer() = default;

  // Gives the pieces in order; together they are `text`. REQUIRES: valid UTF-8.
  virtual void Split(absl::string_view text, absl::FunctionRef<void(absl::string_view)> piece) const = 0;
  // Whether a piece that is itself a token is taken as it is, whatever the merges say (Llama 3).
  virtual bool whole_pieces_first() const = 0;
};

}  // namespace parley::engine::text

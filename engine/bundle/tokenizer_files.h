// Tokenizers as files have them, for engine/text.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/bundle/gguf.h"
#include "engine/bundle/language_model_files.h"
#include "engine/text/tokenizer.h"

namespace parley::engine::bundle {

struct TokenizerFiles {
  text::TokenizerData tokenizer;
  std::string chat_template;  // Jinja text; empty: the files have none
};

// Errors name the file and the key; UNIMPLEMENTED for what is not read, naming it.
absl::StatusOr<TokenizerFiles> ReadTokenizer(const LanguageModelFiles& files);

absl::StatusOr<TokenizerFiles> TokenizerFromGguf(const Gguf& gguf);
// A Hugging Face folder: tokenizer.json, and what tokenizer_config.json, chat_template.jinja and
// generation_config.json add to it where they are there.
absl::StatusOr<TokenizerFiles> TokenizerFromFolder(const std::string& folder);
// The text of a tokenizer.json of byte-level BPE; no bos and no eos (find them by name). `path` stands in
// errors.
absl::StatusOr<text::TokenizerData> TokenizerFromJson(absl::string_view json, const std::string& path);

}  // namespace parley::engine::bundle

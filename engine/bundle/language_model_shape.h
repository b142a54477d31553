// What a language model's own files say of its shape, checked for what the engine can run.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/bundle/gguf.h"
#include "engine/bundle/language_model_files.h"

namespace parley::engine::bundle {

// From GGUF metadata; qkv_bias and tied_head from the tensors that are there.
absl::StatusOr<LanguageModelShape> ShapeFromGguf(const Gguf& gguf);
// From the text of Hugging Face's config.json; `path` stands in errors. qkv_bias is left to the tensors.
absl::StatusOr<LanguageModelShape> ShapeFromConfig(absl::string_view json, const std::string& path);

}  // namespace parley::engine::bundle

// Whisper from the Hugging Face layout, in any arithmetic.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/bundle/safetensors.h"
#include "engine/text/tokenizer.h"
#include "engine/torch/linear.h"
#include "engine/whisper/whisper.h"

namespace parley::engine::whisper {

// Reads the weights, which may go afterwards. `config_json`: config.json. `language`: as Whisper::Create has
// it. `arithmetic`: of the layers. `threads`: of the integer arithmetics; LibTorch has its own.
// INVALID_ARGUMENT, NOT_FOUND: what is missing or wrong, by name.
absl::StatusOr<std::unique_ptr<Whisper>> LoadWhisper(const bundle::Safetensors& weights,
                                                     absl::string_view config_json,
                                                     std::unique_ptr<text::Tokenizer> tokenizer,
                                                     absl::string_view language, Arithmetic arithmetic,
                                                     int threads);

}  // namespace parley::engine::whisper

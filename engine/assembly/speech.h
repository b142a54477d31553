// Whisper from a bundle's folder.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/model/arithmetic.h"
#include "engine/whisper/whisper.h"

namespace parley::engine::assembly {

// The Whisper in `folder` (config.json, tokenizer.json, safetensors, as published), on the processor's
// kernels. `language`: see whisper::Whisper::Create. Errors name the file.
absl::StatusOr<std::unique_ptr<whisper::Whisper>> LoadWhisperOnCpu(const std::string& folder,
                                                                   absl::string_view language,
                                                                   Arithmetic arithmetic, int threads);

}  // namespace parley::engine::assembly

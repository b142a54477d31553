// Which arithmetic the linear layers run in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/bundle/language_model_files.h"
#include "engine/kernels/attention.h"
#include "engine/model/language_model.h"
#include "engine/torch/linear.h"

namespace parley::engine {

struct ArithmeticChoice {
  Arithmetic language_model = Arithmetic::kFp32;
  Arithmetic audio_tower = Arithmetic::kFp32;
  std::string description;  // for EngineInfo: "int16, speech in int8 (on avx2)", "fp32 (as asked)"
};

// `asked`: a name, for both, or "auto": integers where this processor has kernels for them and they take the
// language model's shape, else fp32. They are several times faster. The language model gets int16, which says
// what fp32 says: int8 is faster still, but where two words are nearly as likely it takes the other, and
// parley-small begins the capital of France with "L'Étoile". Whisper gets int8: its weights are rounded to 8
// bits as well, and how its transcripts differ from those of fp32 is how those of int16 do.
// INVALID_ARGUMENT for another name, and for integers where the shape does not allow them.
absl::StatusOr<ArithmeticChoice> ChooseArithmetic(absl::string_view asked,
                                                  const bundle::LanguageModelShape& shape);

// How keys and values are kept: "fp32", "fp16", "int8", or "auto", which is nullopt. INVALID_ARGUMENT for
// another name.
absl::StatusOr<std::optional<kernels::KvFormat>> KvFormatByName(absl::string_view name);

// Of engine/cpu: LibTorch has threads of its own, and no pages.
struct LanguageModelOptions {
  int threads = 1;
  int64_t kv_bytes = int64_t{2} << 30;         // all conversations together
  std::optional<kernels::KvFormat> kv_format;  // nullopt: fp32 with fp32, else fp16
};

// The language model that runs in an arithmetic: engine/cpu's, or this folder's for shapes that its kernels
// do not take, which keeps keys and values in its own arithmetic. Errors name the file.
absl::StatusOr<std::unique_ptr<LanguageModel>> MakeLanguageModel(
    std::shared_ptr<const bundle::LanguageModelFiles> files, Arithmetic arithmetic,
    const LanguageModelOptions& options);

}  // namespace parley::engine

#include "engine/torch/arithmetic.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cpu/llama.h"
#include "engine/kernels/cpu_features.h"
#include "engine/torch/llama.h"

namespace parley::engine {

absl::StatusOr<ArithmeticChoice> ChooseArithmetic(absl::string_view asked,
                                                  const bundle::LanguageModelShape& shape) {
  const absl::Status supported = cpu::Supports(shape);
  if (const std::optional<Arithmetic> named = ArithmeticByName(asked)) {
    if (IsInteger(*named) && !supported.ok()) return supported;
    return ArithmeticChoice{*named, *named, absl::StrCat(asked, " (as asked)")};
  }
  if (asked != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("arithmetic '", asked, "' is not auto, fp32, bf16, int8 or int16"));
  }
  const kernels::Isa isa = kernels::DetectIsa();
  if (isa == kernels::Isa::kPortable) {
    return ArithmeticChoice{.description = "fp32 (no integer kernels for this processor)"};
  }
  if (!supported.ok()) {
    return ArithmeticChoice{.description = absl::StrCat("fp32 (", supported.message(), ")")};
  }
  return ArithmeticChoice{Arithmetic::kInt16, Arithmetic::kInt8,
                          absl::StrCat("int16, speech in int8 (on ", kernels::IsaName(isa), ")")};
}

absl::StatusOr<std::optional<kernels::KvFormat>> KvFormatByName(absl::string_view name) {
  if (name == "auto") return std::nullopt;
  if (name == "fp32") return kernels::KvFormat::kFp32;
  if (name == "fp16") return kernels::KvFormat::kFp16;
  if (name == "int8") return kernels::KvFormat::kInt8;
  return absl::InvalidArgumentError(absl::StrCat("KV format '", name, "' is not auto, fp32, fp16 or int8"));
}

absl::StatusOr<std::unique_ptr<LanguageModel>> MakeLanguageModel(
    std::shared_ptr<const bundle::LanguageModelFiles> files, Arithmetic arithmetic,
    const LanguageModelOptions& options) {
  if (IsInteger(arithmetic) || cpu::Supports(files->shape()).ok()) {
    const auto as_precise =
        arithmetic == Arithmetic::kFp32 ? kernels::KvFormat::kFp32 : kernels::KvFormat::kFp16;
    return cpu::Llama::Load(std::move(files), {.threads = options.threads,
                                               .arithmetic = arithmetic,
                                               .kv_bytes = options.kv_bytes,
                                               .kv_format = options.kv_format.value_or(as_precise)});
  }
  return Llama::Load(std::move(files), arithmetic);
}

}  // namespace parley::engine

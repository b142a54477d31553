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
    return ArithmeticChoice{*named, absl::StrCat(asked, " (as asked)")};
  }
  if (asked != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("arithmetic '", asked, "' is not auto, fp32, bf16, int8 or int16"));
  }
  const kernels::Isa isa = kernels::DetectIsa();
  if (isa == kernels::Isa::kPortable) {
    return ArithmeticChoice{Arithmetic::kFp32, "fp32 (no integer kernels for this processor)"};
  }
  if (!supported.ok()) {
    return ArithmeticChoice{Arithmetic::kFp32, absl::StrCat("fp32 (", supported.message(), ")")};
  }
  return ArithmeticChoice{Arithmetic::kInt16, absl::StrCat("int16 (on ", kernels::IsaName(isa), ")")};
}

absl::StatusOr<std::unique_ptr<LanguageModel>> MakeLanguageModel(
    std::shared_ptr<const bundle::LanguageModelFiles> files, Arithmetic arithmetic, int threads,
    int64_t kv_bytes) {
  if (!IsInteger(arithmetic)) return Llama::Load(std::move(files), arithmetic);
  const auto bits = arithmetic == Arithmetic::kInt16 ? cpu::ActivationBits::k16 : cpu::ActivationBits::k8;
  return cpu::Llama::Load(std::move(files), {.threads = threads, .activations = bits, .kv_bytes = kv_bytes});
}

}  // namespace parley::engine

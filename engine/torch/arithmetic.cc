#include "engine/torch/arithmetic.h"

#include "absl/strings/str_cat.h"
#include "engine/cpu/llama.h"
#include "engine/kernels/cpu_features.h"

namespace parley::engine {

absl::StatusOr<ArithmeticChoice> ChooseArithmetic(absl::string_view asked,
                                                  const bundle::LanguageModelShape& shape) {
  const absl::Status supported = cpu::Supports(shape);
  if (const std::optional<Arithmetic> named = ArithmeticByName(asked)) {
    const bool integers = *named == Arithmetic::kInt8 || *named == Arithmetic::kInt16;
    if (integers && !supported.ok()) return supported;
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

}  // namespace parley::engine

#include "engine/assembly/arithmetic.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/kernels/cpu_features.h"

namespace parley::engine::assembly {

absl::StatusOr<ArithmeticChoice> ChooseArithmetic(absl::string_view asked, absl::string_view device) {
  if (const std::optional<Arithmetic> named = ArithmeticByName(asked)) {
    return ArithmeticChoice{*named, *named, absl::StrCat(asked, " (as asked)")};
  }
  if (asked != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("arithmetic '", asked, "' is not auto, fp32, bf16, int8 or int16"));
  }
  if (device != "cpu") return ArithmeticChoice{.description = absl::StrCat("fp32 (on ", device, ")")};
  const kernels::Isa isa = kernels::DetectIsa();
  if (isa == kernels::Isa::kPortable) {
    return ArithmeticChoice{.description = "fp32 (no integer kernels for this processor)"};
  }
  return ArithmeticChoice{Arithmetic::kInt16, Arithmetic::kInt8,
                          absl::StrCat("int16, speech in int8 (on ", kernels::IsaName(isa), ")")};
}

}  // namespace parley::engine::assembly

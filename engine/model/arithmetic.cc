#include "engine/model/arithmetic.h"

namespace parley::engine {

absl::string_view ArithmeticName(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFp32:
      return "fp32";
    case Arithmetic::kBf16:
      return "bf16";
    case Arithmetic::kInt8:
      return "int8";
    case Arithmetic::kInt16:
      return "int16";
  }
  return "";
}

std::optional<Arithmetic> ArithmeticByName(absl::string_view name) {
  for (Arithmetic arithmetic :
       {Arithmetic::kFp32, Arithmetic::kBf16, Arithmetic::kInt8, Arithmetic::kInt16}) {
    if (ArithmeticName(arithmetic) == name) return arithmetic;
  }
  return std::nullopt;
}

}  // namespace parley::engine

// Which arithmetic the products with weights run in.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"

namespace parley::engine {

enum class Arithmetic {
  kFp32,   // weights and activations in fp32
  kBf16,   // both rounded to bf16, products and sums in fp32
  kInt8,   // weights in 4 or 8 bits and activations in int8 (engine/kernels/quantized_rows.h)
  kInt16,  // the same with two int8 terms an activation: within 1e-2 of fp32 scores
};

absl::string_view ArithmeticName(Arithmetic arithmetic);
std::optional<Arithmetic> ArithmeticByName(absl::string_view name);
constexpr bool IsInteger(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kInt8 || arithmetic == Arithmetic::kInt16;
}

}  // namespace parley::engine

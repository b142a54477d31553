// y = x W^T + b: every matrix product with weights goes through this interface, so that an arithmetic is
// chosen in one place and kernels slot in.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

#include "absl/strings/string_view.h"

namespace parley::engine {

enum class Arithmetic {
  kFp32,   // weights and activations in fp32: for parity
  kBf16,   // weights and activations in bf16, sums in fp32
  kInt8,   // weights and activations in int8 groups of 32 (engine/kernels/quantized_weights.h)
  kInt16,  // the same with two int8 terms an activation
};

absl::string_view ArithmeticName(Arithmetic arithmetic);
std::optional<Arithmetic> ArithmeticByName(absl::string_view name);
// Whether engine/cpu does it, else LibTorch.
constexpr bool IsInteger(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kInt8 || arithmetic == Arithmetic::kInt16;
}

// Immutable. Torch exceptions pass through.
class Linear {
 public:
  virtual ~Linear() = default;
  // [rows, inputs] fp32 -> [rows, outputs] fp32. Nothing is shared between rows: no scale, no statistic.
  virtual at::Tensor Forward(const at::Tensor& x) const = 0;
};

// `weight`: [outputs, inputs] fp32; `bias`: [outputs] fp32 or undefined. Keeps no more of `weight` than the
// arithmetic needs. REQUIRES: it is fp32 or bf16 (integers are engine/cpu's).
std::unique_ptr<const Linear> MakeLinear(const at::Tensor& weight, const at::Tensor& bias,
                                         Arithmetic arithmetic);

}  // namespace parley::engine

// y = x W^T + b: every matrix product with weights goes through this interface, so that an arithmetic is
// chosen in one place and kernels slot in.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "engine/model/arithmetic.h"

namespace parley::engine::libtorch {

// Immutable. Torch exceptions pass through.
class Linear {
 public:
  virtual ~Linear() = default;
  // [rows, inputs] fp32 -> [rows, outputs] fp32. Nothing is shared between rows: no scale, no statistic.
  virtual at::Tensor Forward(const at::Tensor& x) const = 0;
};

// `weight`: [outputs, inputs] fp32; `bias`: [outputs] fp32 or undefined. Keeps no more of `weight` than the
// arithmetic needs. REQUIRES: it is fp32 or bf16 (engine/cpu has all).
std::unique_ptr<const Linear> MakeLinear(const at::Tensor& weight, const at::Tensor& bias,
                                         Arithmetic arithmetic);

}  // namespace parley::engine::libtorch

#include "engine/torch/linear.h"

#include <ATen/ops/linear.h>

#include <utility>

namespace parley::engine::libtorch {
namespace {

class Fp32Linear final : public Linear {
 public:
  Fp32Linear(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}
  at::Tensor Forward(const at::Tensor& x) const override {
    return bias_.defined() ? at::linear(x, weight_, bias_) : at::linear(x, weight_);
  }

 private:
  at::Tensor weight_;  // [outputs, inputs]
  at::Tensor bias_;    // [outputs] or undefined
};

class Bf16Linear final : public Linear {
 public:
  Bf16Linear(const at::Tensor& weight, at::Tensor bias)
      : weight_(weight.to(at::kBFloat16)), bias_(std::move(bias)) {}
  at::Tensor Forward(const at::Tensor& x) const override {
    const at::Tensor y = at::linear(x.to(at::kBFloat16), weight_).to(at::kFloat);
    return bias_.defined() ? y.add(bias_) : y;
  }

 private:
  at::Tensor weight_;  // [outputs, inputs] bf16
  at::Tensor bias_;    // [outputs] fp32 or undefined
};

}  // namespace

std::unique_ptr<const Linear> MakeLinear(const at::Tensor& weight, const at::Tensor& bias,
                                         Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFp32:
      return std::make_unique<Fp32Linear>(weight, bias);
    case Arithmetic::kBf16:
      return std::make_unique<Bf16Linear>(weight, bias);
    case Arithmetic::kInt8:
    case Arithmetic::kInt16:
      break;
  }
  return nullptr;
}

}  // namespace parley::engine::libtorch

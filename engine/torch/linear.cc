#include "engine/torch/linear.h"

#include <ATen/ops/_weight_int8pack_mm.h>
#include <ATen/ops/linear.h>

#include <utility>

namespace parley::engine {
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

class Int8Linear final : public Linear {
 public:
  Int8Linear(const at::Tensor& weight, at::Tensor bias) : bias_(std::move(bias)) {
    const at::Tensor scale = weight.abs().amax({1}).clamp_min(1e-12).div(127);  // [outputs]
    weight_ = weight.div(scale.unsqueeze(1)).round().to(at::kChar);
    scale_ = scale.to(at::kBFloat16);
  }
  at::Tensor Forward(const at::Tensor& x) const override {
    const at::Tensor y = at::_weight_int8pack_mm(x.to(at::kBFloat16), weight_, scale_).to(at::kFloat);
    return bias_.defined() ? y.add(bias_) : y;
  }

 private:
  at::Tensor weight_;  // [outputs, inputs] int8
  at::Tensor scale_;   // [outputs] bf16: the operator takes it in the activations' type
  at::Tensor bias_;    // [outputs] fp32 or undefined
};

}  // namespace

absl::string_view ArithmeticName(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFp32:
      return "fp32";
    case Arithmetic::kBf16:
      return "bf16";
    case Arithmetic::kInt8:
      return "int8";
  }
  return "";
}

std::optional<Arithmetic> ArithmeticByName(absl::string_view name) {
  for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kBf16, Arithmetic::kInt8}) {
    if (ArithmeticName(arithmetic) == name) return arithmetic;
  }
  return std::nullopt;
}

std::unique_ptr<const Linear> MakeLinear(const at::Tensor& weight, const at::Tensor& bias,
                                         Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFp32:
      return std::make_unique<Fp32Linear>(weight, bias);
    case Arithmetic::kBf16:
      return std::make_unique<Bf16Linear>(weight, bias);
    case Arithmetic::kInt8:
      return std::make_unique<Int8Linear>(weight, bias);
  }
  return nullptr;
}

}  // namespace parley::engine

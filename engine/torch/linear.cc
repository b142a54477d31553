#include "engine/torch/linear.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include <algorithm>
#include <utility>

#include "engine/kernels/quantized_weights.h"

#ifndef _OPENMP
#error "without OpenMP at::parallel_for runs on one thread: see CMakeLists.txt"
#endif

namespace parley::engine {
namespace {

constexpr int kRowsOfWork = 4;  // to quantise: worth a thread's while

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

class IntegerLinear final : public Linear {
 public:
  IntegerLinear(kernels::QuantizedWeights weights, at::Tensor bias, int terms)
      : weights_(std::move(weights)), bias_(std::move(bias)), terms_(terms) {}
  at::Tensor Forward(const at::Tensor& x) const override {
    const at::Tensor contiguous = x.contiguous();
    const float* const in = contiguous.const_data_ptr<float>();
    const int rows = static_cast<int>(x.size(0));
    const int inputs = weights_.inputs();
    kernels::QuantizedRows quantised;
    quantised.Reset(rows, inputs, terms_);
    at::parallel_for(0, rows, kRowsOfWork, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) quantised.Set(static_cast<int>(row), in + row * inputs);
    });
    at::Tensor y = at::empty({rows, weights_.outputs()}, at::kFloat);
    float* const out = y.mutable_data_ptr<float>();
    const int64_t grain = std::max(1, weights_.tiles() / (at::get_num_threads() * 4));
    at::parallel_for(0, weights_.tiles(), grain, [&](int64_t begin, int64_t end) {
      weights_.Multiply(quantised, static_cast<int>(begin), static_cast<int>(end), out, weights_.outputs());
    });
    return bias_.defined() ? y.add_(bias_) : y;
  }

 private:
  kernels::QuantizedWeights weights_;
  at::Tensor bias_;  // [outputs] fp32 or undefined
  int terms_;        // int8 terms an activation
};

std::unique_ptr<const Linear> MakeInteger(const at::Tensor& weight, const at::Tensor& bias, int terms) {
  const at::Tensor rows = weight.contiguous();
  absl::StatusOr<kernels::QuantizedWeights> packed =
      kernels::QuantizedWeights::FromFloats(absl::MakeConstSpan(rows.const_data_ptr<float>(), rows.numel()),
                                            static_cast<int>(rows.size(0)), static_cast<int>(rows.size(1)));
  if (packed.ok()) return std::make_unique<IntegerLinear>(*std::move(packed), bias, terms);
  return std::make_unique<Fp32Linear>(weight, bias);
}

}  // namespace

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

std::unique_ptr<const Linear> MakeLinear(const at::Tensor& weight, const at::Tensor& bias,
                                         Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFp32:
      return std::make_unique<Fp32Linear>(weight, bias);
    case Arithmetic::kBf16:
      return std::make_unique<Bf16Linear>(weight, bias);
    case Arithmetic::kInt8:
      return MakeInteger(weight, bias, /*terms=*/1);
    case Arithmetic::kInt16:
      return MakeInteger(weight, bias, /*terms=*/2);
  }
  return nullptr;
}

}  // namespace parley::engine

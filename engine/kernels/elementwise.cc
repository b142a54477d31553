#include "engine/kernels/elementwise.h"

#include <cmath>

#include "engine/kernels/elementwise_internal.h"
#include "engine/kernels/exp.h"

namespace parley::engine::kernels {
namespace internal {

void RmsNormPortable(const float* x, const float* weight, float epsilon, int n, float* out) {
  float lanes[8] = {};
  for (int i = 0; i < n; ++i) lanes[i % 8] = std::fma(x[i], x[i], lanes[i % 8]);
  float four[4];
  for (int i = 0; i < 4; ++i) four[i] = lanes[i] + lanes[i + 4];
  const float sum = (four[0] + four[2]) + (four[1] + four[3]);
  const float scale = 1.0f / std::sqrt(sum / static_cast<float>(n) + epsilon);
  for (int i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void LayerNormPortable(const float* x, const float* weight, const float* bias, float epsilon, int values,
                       int n, float* out) {
  const auto join = [](const float(&lanes)[8]) {
    float four[4];
    for (int i = 0; i < 4; ++i) four[i] = lanes[i] + lanes[i + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
  };
  float sums[8] = {};
  for (int i = 0; i < n; ++i) sums[i % 8] += x[i];
  const float mean = join(sums) / static_cast<float>(values);
  float squares[8] = {};
  for (int i = 0; i < n; ++i) squares[i % 8] = std::fma(x[i] - mean, x[i] - mean, squares[i % 8]);
  // Each zero past the values has added the square of the mean.
  const float variance =
      (join(squares) - static_cast<float>(n - values) * mean * mean) / static_cast<float>(values);
  const float scale = 1.0f / std::sqrt(variance + epsilon);
  for (int i = 0; i < n; ++i) out[i] = std::fma((x[i] - mean) * scale, weight[i], bias[i]);
}

void BiasGeluPortable(const float* x, const float* bias, int n, float* out) {
  for (int i = 0; i < n; ++i) {
    const float v = x[i] + bias[i];
    const float z = std::fabs(v) * kSqrtHalf;
    const float t = 1.0f / std::fma(kErfP, z, 1.0f);
    float p = kErfCoefficients[0];
    for (int k = 1; k < 5; ++k) p = std::fma(p, t, kErfCoefficients[k]);
    // v Phi(v) is v less, or 0 more, half of |v| times what erf leaves to 1.
    const float rest = p * t * Exp(-(z * z)) * (0.5f * v);
    out[i] = v > 0 ? v - rest : rest;
  }
}

void SwiGluPortable(const float* gate, const float* up, int n, float* out) {
  for (int i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + Exp(-gate[i])) * up[i];
}

void RotatePortable(const float* cosines, const float* sines, int head_dim, float* x) {
  const int half = head_dim / 2;
  for (int i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = std::fma(-b, sines[i], a * cosines[i]);
    x[i + half] = std::fma(a, sines[i], b * cosines[i]);
  }
}

void AddPortable(const float* y, int n, float* x) {
  for (int i = 0; i < n; ++i) x[i] += y[i];
}

}  // namespace internal

void RmsNorm(const float* x, const float* weight, float epsilon, int n, float* out, Isa isa) {
  (isa == Isa::kPortable ? internal::RmsNormPortable : internal::RmsNormAvx2)(x, weight, epsilon, n, out);
}

void LayerNorm(const float* x, const float* weight, const float* bias, float epsilon, int values, int n,
               float* out, Isa isa) {
  (isa == Isa::kPortable ? internal::LayerNormPortable : internal::LayerNormAvx2)(x, weight, bias, epsilon,
                                                                                  values, n, out);
}

void BiasGelu(const float* x, const float* bias, int n, float* out, Isa isa) {
  const auto gelu = isa == Isa::kPortable ? internal::BiasGeluPortable
                    : isa >= Isa::kAvx512 ? internal::BiasGeluAvx512
                                          : internal::BiasGeluAvx2;
  gelu(x, bias, n, out);
}

void SwiGlu(const float* gate, const float* up, int n, float* out, Isa isa) {
  const auto swiglu = isa == Isa::kPortable ? internal::SwiGluPortable
                      : isa >= Isa::kAvx512 ? internal::SwiGluAvx512
                                            : internal::SwiGluAvx2;
  swiglu(gate, up, n, out);
}

void Rotate(const float* cosines, const float* sines, int head_dim, float* x, Isa isa) {
  (isa == Isa::kPortable ? internal::RotatePortable : internal::RotateAvx2)(cosines, sines, head_dim, x);
}

void Add(const float* y, int n, float* x, Isa isa) {
  (isa == Isa::kPortable ? internal::AddPortable : internal::AddAvx2)(y, n, x);
}

}  // namespace parley::engine::kernels

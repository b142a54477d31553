// Variants of the elementwise kernels; free of the standard library's inline code for the reason that
// quantized_linear_internal.h gives.
#pragma once

namespace parley::engine::kernels::internal {

void RmsNormPortable(const float* x, const float* weight, float epsilon, int n, float* out);
void LayerNormPortable(const float* x, const float* weight, const float* bias, float epsilon, int values,
                       int n, float* out);
void BiasGeluPortable(const float* x, const float* bias, int n, float* out);
void SwiGluPortable(const float* gate, const float* up, int n, float* out);
void RotatePortable(const float* cosines, const float* sines, int head_dim, float* x);
void AddPortable(const float* y, int n, float* x);

void RmsNormAvx2(const float* x, const float* weight, float epsilon, int n, float* out);
void LayerNormAvx2(const float* x, const float* weight, const float* bias, float epsilon, int values, int n,
                   float* out);
void BiasGeluAvx2(const float* x, const float* bias, int n, float* out);
void SwiGluAvx2(const float* gate, const float* up, int n, float* out);
void RotateAvx2(const float* cosines, const float* sines, int head_dim, float* x);
void AddAvx2(const float* y, int n, float* x);

void SwiGluAvx512(const float* gate, const float* up, int n, float* out);
void BiasGeluAvx512(const float* x, const float* bias, int n, float* out);

// 1 - erf(x) for x >= 0 is t (a0 + a1 t + ... + a4 t^4) e^(-x^2), t = 1 / (1 + p x), to 1.5e-7 (Abramowitz
// and Stegun, 7.1.26). From the highest power down.
inline constexpr float kErfP = 0.3275911f;
inline constexpr float kErfCoefficients[] = {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f,
                                             0.254829592f};
inline constexpr float kSqrtHalf = 0.70710678f;

}  // namespace parley::engine::kernels::internal

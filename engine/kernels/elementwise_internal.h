// Variants of the elementwise kernels; free of the standard library's inline code for the reason that
// quantized_linear_internal.h gives.
#pragma once

namespace parley::engine::kernels::internal {

void RmsNormPortable(const float* x, const float* weight, float epsilon, int n, float* out);
void SwiGluPortable(const float* gate, const float* up, int n, float* out);
void RotatePortable(const float* cosines, const float* sines, int head_dim, float* x);
void AddPortable(const float* y, int n, float* x);

void RmsNormAvx2(const float* x, const float* weight, float epsilon, int n, float* out);
void SwiGluAvx2(const float* gate, const float* up, int n, float* out);
void RotateAvx2(const float* cosines, const float* sines, int head_dim, float* x);
void AddAvx2(const float* y, int n, float* x);

// e^x = 2^n e^r: Cody-Waite reduction and a polynomial in r, relative error below 3e-7 between the bounds.
inline constexpr float kExpLow = -87.0f;
inline constexpr float kExpHigh = 88.0f;
inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kExpCoefficients[] = {1.3888889e-3f, 8.3333333e-3f, 4.1666667e-2f, 1.6666667e-1f,
                                             0.5f,          1.0f,          1.0f};

}  // namespace parley::engine::kernels::internal

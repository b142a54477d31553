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

void SwiGluAvx512(const float* gate, const float* up, int n, float* out);

}  // namespace parley::engine::kernels::internal

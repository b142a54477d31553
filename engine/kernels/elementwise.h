// What a transformer layer does between its linear layers, one row at a time, on plain memory. The sums are
// taken in eight lanes and joined in one order on every instruction set, so a row's bits are the same
// everywhere.
#pragma once

#include "engine/kernels/cpu_features.h"

namespace parley::engine::kernels {

// out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i] (RMSNorm, arXiv:1910.07467). n is a multiple of 8.
void RmsNorm(const float* x, const float* weight, float epsilon, int n, float* out, Isa isa = DetectIsa());

// out[i] = (x[i] - mean(x)) / sqrt(variance(x) + epsilon) * weight[i] + bias[i] (arXiv:1607.06450). Mean and
// variance are those of `values` values; the others of x, up to n, are zeros. n is a multiple of 8.
void LayerNorm(const float* x, const float* weight, const float* bias, float epsilon, int values, int n,
               float* out, Isa isa = DetectIsa());

// out[i] = v * Phi(v) with v = x[i] + bias[i] and Phi the normal distribution (GELU, arXiv:1606.08415), to
// 1e-6. n is a multiple of 8.
void BiasGelu(const float* x, const float* bias, int n, float* out, Isa isa = DetectIsa());

// out[i] = gate[i] * sigmoid(gate[i]) * up[i] (SwiGLU, arXiv:2002.05202). n is a multiple of 8.
void SwiGlu(const float* gate, const float* up, int n, float* out, Isa isa = DetectIsa());

// Rotates one head's vector [head_dim] in place, pairs (i, i + head_dim / 2), by the angles whose cosines and
// sines are given [head_dim / 2] (RoPE, arXiv:2104.09864). head_dim is a multiple of 16.
void Rotate(const float* cosines, const float* sines, int head_dim, float* x, Isa isa = DetectIsa());

// x[i] += y[i].
void Add(const float* y, int n, float* x, Isa isa = DetectIsa());

}  // namespace parley::engine::kernels

#include <immintrin.h>

#include "engine/kernels/elementwise_internal.h"
#include "engine/kernels/exp.h"

namespace parley::engine::kernels::internal {

namespace {

inline float Sum(__m256 lanes) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

}  // namespace

void RmsNormAvx2(const float* x, const float* weight, float epsilon, int n, float* out) {
  __m256 lanes = _mm256_setzero_ps();
  for (int i = 0; i < n; i += 8) {
    const __m256 v = _mm256_loadu_ps(x + i);
    lanes = _mm256_fmadd_ps(v, v, lanes);
  }
  const float sum = Sum(lanes);
  const __m256 scale = _mm256_set1_ps(1.0f / __builtin_sqrtf(sum / static_cast<float>(n) + epsilon));
  for (int i = 0; i < n; i += 8) {
    const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), scale);
    _mm256_storeu_ps(out + i, _mm256_mul_ps(scaled, _mm256_loadu_ps(weight + i)));
  }
}

void LayerNormAvx2(const float* x, const float* weight, const float* bias, float epsilon, int values, int n,
                   float* out) {
  __m256 sums = _mm256_setzero_ps();
  for (int i = 0; i < n; i += 8) sums = _mm256_add_ps(sums, _mm256_loadu_ps(x + i));
  const float mean_value = Sum(sums) / static_cast<float>(values);
  const __m256 mean = _mm256_set1_ps(mean_value);
  __m256 squares = _mm256_setzero_ps();
  for (int i = 0; i < n; i += 8) {
    const __m256 v = _mm256_sub_ps(_mm256_loadu_ps(x + i), mean);
    squares = _mm256_fmadd_ps(v, v, squares);
  }
  // Each zero past the values has added the square of the mean.
  const float variance =
      (Sum(squares) - static_cast<float>(n - values) * mean_value * mean_value) / static_cast<float>(values);
  const __m256 scale = _mm256_set1_ps(1.0f / __builtin_sqrtf(variance + epsilon));
  for (int i = 0; i < n; i += 8) {
    const __m256 scaled = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), mean), scale);
    _mm256_storeu_ps(out + i,
                     _mm256_fmadd_ps(scaled, _mm256_loadu_ps(weight + i), _mm256_loadu_ps(bias + i)));
  }
}

void BiasGeluAvx2(const float* x, const float* bias, int n, float* out) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const __m256 one = _mm256_set1_ps(1.0f);
  for (int i = 0; i < n; i += 8) {
    const __m256 v = _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(bias + i));
    const __m256 z = _mm256_mul_ps(_mm256_andnot_ps(sign, v), _mm256_set1_ps(kSqrtHalf));
    const __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(_mm256_set1_ps(kErfP), z, one));
    __m256 p = _mm256_set1_ps(kErfCoefficients[0]);
#pragma GCC unroll 4
    for (int k = 1; k < 5; ++k) p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(kErfCoefficients[k]));
    const __m256 tail = _mm256_mul_ps(_mm256_mul_ps(p, t), Exp(_mm256_xor_ps(_mm256_mul_ps(z, z), sign)));
    const __m256 rest = _mm256_mul_ps(tail, _mm256_mul_ps(_mm256_set1_ps(0.5f), v));
    const __m256 positive = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ);
    _mm256_storeu_ps(out + i, _mm256_blendv_ps(rest, _mm256_sub_ps(v, rest), positive));
  }
}

void SwiGluAvx2(const float* gate, const float* up, int n, float* out) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (int i = 0; i < n; i += 8) {
    const __m256 g = _mm256_loadu_ps(gate + i);
    const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, Exp(_mm256_xor_ps(g, sign))));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
  }
}

void RotateAvx2(const float* cosines, const float* sines, int head_dim, float* x) {
  const int half = head_dim / 2;
  for (int i = 0; i < half; i += 8) {
    const __m256 a = _mm256_loadu_ps(x + i);
    const __m256 b = _mm256_loadu_ps(x + half + i);
    const __m256 c = _mm256_loadu_ps(cosines + i);
    const __m256 s = _mm256_loadu_ps(sines + i);
    _mm256_storeu_ps(x + i, _mm256_fnmadd_ps(b, s, _mm256_mul_ps(a, c)));
    _mm256_storeu_ps(x + half + i, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
  }
}

void AddAvx2(const float* y, int n, float* x) {
  int i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  for (; i < n; ++i) x[i] += y[i];
}

}  // namespace parley::engine::kernels::internal

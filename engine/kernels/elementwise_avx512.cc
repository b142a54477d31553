// Elementwise kernels that gain by AVX-512's width. Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl
// -mavx512vnni.
#include <immintrin.h>

#include "engine/kernels/elementwise_internal.h"
#include "engine/kernels/exp.h"

namespace parley::engine::kernels::internal {

void SwiGluAvx512(const float* gate, const float* up, int n, float* out) {
  const __m512 one = _mm512_set1_ps(1.0f);
  for (int i = 0; i < n; i += 16) {
    const __mmask16 some = n - i < 16 ? 0xff : 0xffff;
    const __m512 g = _mm512_maskz_loadu_ps(some, gate + i);
    const __m512 silu = _mm512_div_ps(g, _mm512_add_ps(one, Exp(_mm512_sub_ps(_mm512_setzero_ps(), g))));
    _mm512_mask_storeu_ps(out + i, some, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(some, up + i)));
  }
}

void BiasGeluAvx512(const float* x, const float* bias, int n, float* out) {
  const __m512 one = _mm512_set1_ps(1.0f);
  for (int i = 0; i < n; i += 16) {
    const __mmask16 some = n - i < 16 ? 0xff : 0xffff;
    const __m512 v = _mm512_add_ps(_mm512_maskz_loadu_ps(some, x + i), _mm512_maskz_loadu_ps(some, bias + i));
    const __m512 z = _mm512_mul_ps(_mm512_abs_ps(v), _mm512_set1_ps(kSqrtHalf));
    const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(_mm512_set1_ps(kErfP), z, one));
    __m512 p = _mm512_set1_ps(kErfCoefficients[0]);
#pragma GCC unroll 4
    for (int k = 1; k < 5; ++k) p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(kErfCoefficients[k]));
    const __m512 squared = _mm512_mul_ps(z, z);
    const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(p, t), Exp(_mm512_sub_ps(_mm512_setzero_ps(), squared)));
    const __m512 rest = _mm512_mul_ps(tail, _mm512_mul_ps(_mm512_set1_ps(0.5f), v));
    const __mmask16 positive = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GT_OQ);
    _mm512_mask_storeu_ps(out + i, some, _mm512_mask_sub_ps(rest, positive, v, rest));
  }
}

}  // namespace parley::engine::kernels::internal

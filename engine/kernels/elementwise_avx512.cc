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

}  // namespace parley::engine::kernels::internal

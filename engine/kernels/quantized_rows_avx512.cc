// The quantisation of activations on AVX-512: a group is two registers. Compiled with -mavx512f -mavx512bw
// -mavx512dq -mavx512vl -mavx512vnni; includes nothing that has inline code shared with the rest.
#include <immintrin.h>

#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels::internal {
namespace {

struct Group {
  __m512 v[2];
};

// Rounds v times `inverse` to -127..127; writes the 32 values, keeps them in `q` and returns their sum.
inline int32_t Round(const Group& v, float inverse, int8_t* values, __m512i (&q)[2]) {
  const __m512 scale = _mm512_set1_ps(inverse);
  for (int i = 0; i < 2; ++i) {
    q[i] = _mm512_cvtps_epi32(_mm512_mul_ps(v.v[i], scale));
    q[i] = _mm512_max_epi32(_mm512_min_epi32(q[i], _mm512_set1_epi32(127)), _mm512_set1_epi32(-127));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + 16 * i), _mm512_cvtepi32_epi8(q[i]));
  }
  const __m512i sum16 = _mm512_add_epi32(q[0], q[1]);
  const __m256i sum8 = _mm256_add_epi32(_mm512_castsi512_si256(sum16), _mm512_extracti64x4_epi64(sum16, 1));
  __m128i sum4 = _mm_add_epi32(_mm256_castsi256_si128(sum8), _mm256_extracti128_si256(sum8, 1));
  sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0x4e));
  sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0xb1));
  return _mm_cvtsi128_si32(sum4);
}

inline float Largest(const Group& v) {
  const __m512 largest16 = _mm512_max_ps(_mm512_abs_ps(v.v[0]), _mm512_abs_ps(v.v[1]));
  const __m256 largest8 =
      _mm256_max_ps(_mm512_castps512_ps256(largest16), _mm512_extractf32x8_ps(largest16, 1));
  __m128 largest4 = _mm_max_ps(_mm256_castps256_ps128(largest8), _mm256_extractf128_ps(largest8, 1));
  largest4 = _mm_max_ps(largest4, _mm_movehl_ps(largest4, largest4));
  return _mm_cvtss_f32(_mm_max_ss(largest4, _mm_movehdup_ps(largest4)));
}

}  // namespace

void QuantizeRowAvx512(const float* x, int groups, int slot, int terms, Panel* panels) {
  constexpr int kNotFinite = 0x01 | 0x08 | 0x10 | 0x80;  // NaNs and infinities
  for (int g = 0; g < groups; ++g) {
    Panel& p = panels[g];
    Group v;
    for (int i = 0; i < 2; ++i) {
      v.v[i] = _mm512_loadu_ps(x + g * 32 + i * 16);
      const __mmask16 finite = _knot_mask16(_mm512_fpclass_ps_mask(v.v[i], kNotFinite));
      v.v[i] = _mm512_maskz_mov_ps(finite, v.v[i]);
    }
    const float largest = Largest(v);
    const bool nothing = largest < kSmallest;
    const float inverse = nothing ? 0 : 127.0f / largest;
    const float scale = nothing ? 0 : largest / 127.0f;
    __m512i q[2];
    int32_t total = Round(v, inverse, p.values[slot], q);
    p.totals[slot] = total;
    p.scales[slot] = scale;
    if (terms == 2) {
      const __m512 step = _mm512_set1_ps(scale);
      for (int i = 0; i < 2; ++i) v.v[i] = _mm512_fnmadd_ps(step, _mm512_cvtepi32_ps(q[i]), v.v[i]);
      const int32_t rest = Round(v, inverse * kTermRatio, p.values[slot + 1], q);
      p.totals[slot + 1] = rest;
      p.scales[slot] = scale / kTermRatio;
      total = total * kTermRatio + rest;
    }
    p.sums[slot] = p.scales[slot] * static_cast<float>(total);
  }
}

}  // namespace parley::engine::kernels::internal

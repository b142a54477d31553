// The quantisation of activations on AVX2. Compiled with -mavx2 -mfma -mf16c; includes nothing that has
// inline code shared with the rest.
#include <immintrin.h>

#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels::internal {
namespace {

// Rounds v times `inverse` to -127..127; writes the 32 values and returns their sum.
inline int32_t Round(const __m256 (&v)[4], float inverse, int8_t* values, __m256i (&q)[4]) {
  const __m256 scale = _mm256_set1_ps(inverse);
  for (int i = 0; i < 4; ++i) {
    q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], scale));
    q[i] = _mm256_max_epi32(_mm256_min_epi32(q[i], _mm256_set1_epi32(127)), _mm256_set1_epi32(-127));
  }
  const __m256i sum8 = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
  __m128i sum4 = _mm_add_epi32(_mm256_castsi256_si128(sum8), _mm256_extracti128_si256(sum8, 1));
  sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0x4e));
  sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0xb1));
  const __m256i packed16a = _mm256_packs_epi32(q[0], q[1]);
  const __m256i packed16b = _mm256_packs_epi32(q[2], q[3]);
  const __m256i packed8 = _mm256_packs_epi16(packed16a, packed16b);  // 4-byte pieces out of order
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), _mm256_permutevar8x32_epi32(packed8, order));
  return _mm_cvtsi128_si32(sum4);
}

inline float Largest(const __m256 (&v)[4]) {
  const __m256 magnitude_bits = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 largest8 = _mm256_and_ps(v[0], magnitude_bits);
  for (int i = 1; i < 4; ++i) largest8 = _mm256_max_ps(largest8, _mm256_and_ps(v[i], magnitude_bits));
  __m128 largest4 = _mm_max_ps(_mm256_castps256_ps128(largest8), _mm256_extractf128_ps(largest8, 1));
  largest4 = _mm_max_ps(largest4, _mm_movehl_ps(largest4, largest4));
  return _mm_cvtss_f32(_mm_max_ss(largest4, _mm_movehdup_ps(largest4)));
}

}  // namespace

void QuantizeRowAvx2(const float* x, int groups, int slot, int terms, Panel* panels) {
  const __m256 magnitude_bits = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  const __m256 infinity = _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000));
  for (int g = 0; g < groups; ++g) {
    Panel& p = panels[g];
    __m256 v[4];
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_loadu_ps(x + g * 32 + i * 8);
      v[i] = _mm256_and_ps(v[i], _mm256_cmp_ps(_mm256_and_ps(v[i], magnitude_bits), infinity, _CMP_LT_OQ));
    }
    const float largest = Largest(v);
    const bool nothing = largest < kSmallest;
    const float inverse = nothing ? 0 : 127.0f / largest;
    const float scale = nothing ? 0 : largest / 127.0f;
    __m256i q[4];
    int32_t total = Round(v, inverse, p.values[slot], q);
    p.totals[slot] = total;
    p.scales[slot] = scale;
    if (terms == 2) {
      const __m256 step = _mm256_set1_ps(scale);
      for (int i = 0; i < 4; ++i) v[i] = _mm256_fnmadd_ps(step, _mm256_cvtepi32_ps(q[i]), v[i]);
      const int32_t rest = Round(v, inverse * kTermRatio, p.values[slot + 1], q);
      p.totals[slot + 1] = rest;
      p.scales[slot] = scale / kTermRatio;
      total = total * kTermRatio + rest;
    }
    p.sums[slot] = p.scales[slot] * static_cast<float>(total);
  }
}

}  // namespace parley::engine::kernels::internal

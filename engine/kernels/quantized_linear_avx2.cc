// The quantised linear layer on AVX2, and the quantisation of activations. Compiled with -mavx2 -mfma -mf16c;
// includes nothing that has inline code shared with the rest.
#include "engine/kernels/quantized_linear_256.h"

namespace parley::engine::kernels::internal {
namespace {

struct Avx2 : Lanes256 {
  // Sums: of Dot 16 bits, 15 * 127 * 2 products * 8 additions = 30,480 fits; of DotSigned 32 bits.
  static Bytes Signed(Bytes b) { return _mm256_abs_epi8(b); }
  static void Dot(Sums& sums, Bytes u, Bytes x) { sums = _mm256_add_epi16(sums, _mm256_maddubs_epi16(u, x)); }
  // maddubs takes one unsigned side: the weight's sign moves to the activation. 128 * 127 * 2 fits 16 bits.
  static void DotSigned(Sums& sums, Bytes magnitude, Bytes x, const uint8_t* weights) {
    const __m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, Load(weights)));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
  }
  static Floats Finish(Sums sums) {
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(sums, _mm256_set1_epi16(1)));
  }
  static Floats FinishSigned(Sums sums, int32_t) { return _mm256_cvtepi32_ps(sums); }
};

struct Term {
  float scale;
  int32_t total;
};

// Quantises a group held in v[4]; writes 32 values. Returns with scale 0 where the group counts as zeros.
inline Term QuantizeGroup(const __m256 (&v)[4], int8_t* values, __m256i (&q)[4]) {
  const __m256 magnitude_bits = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 largest8 = _mm256_and_ps(v[0], magnitude_bits);
  for (int i = 1; i < 4; ++i) largest8 = _mm256_max_ps(largest8, _mm256_and_ps(v[i], magnitude_bits));
  __m128 largest4 = _mm_max_ps(_mm256_castps256_ps128(largest8), _mm256_extractf128_ps(largest8, 1));
  largest4 = _mm_max_ps(largest4, _mm_movehl_ps(largest4, largest4));
  largest4 = _mm_max_ss(largest4, _mm_movehdup_ps(largest4));
  const float largest = _mm_cvtss_f32(largest4);
  if (largest < kSmallest) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), _mm256_setzero_si256());
    for (__m256i& eight : q) eight = _mm256_setzero_si256();
    return {0, 0};
  }
  const __m256 inverse = _mm256_set1_ps(127.0f / largest);
  for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
  const __m256i sum8 = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
  __m128i sum4 = _mm_add_epi32(_mm256_castsi256_si128(sum8), _mm256_extracti128_si256(sum8, 1));
  sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0x4e));
  sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0xb1));
  const __m256i packed16a = _mm256_packs_epi32(q[0], q[1]);
  const __m256i packed16b = _mm256_packs_epi32(q[2], q[3]);
  const __m256i packed8 = _mm256_packs_epi16(packed16a, packed16b);  // 4-byte pieces out of order
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), _mm256_permutevar8x32_epi32(packed8, order));
  return {largest / 127.0f, _mm_cvtsi128_si32(sum4)};
}

}  // namespace

void MultiplyQ4Avx2(const LinearTask& t) { MultiplyTerms<Avx2, false>(t); }
void MultiplyQ8Avx2(const LinearTask& t) { MultiplyTerms<Avx2, true>(t); }

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
    __m256i q[4];
    const Term first = QuantizeGroup(v, p.values[slot], q);
    p.scales[slot] = first.scale;
    p.totals[slot] = first.total;
    p.sums[slot] = first.scale * static_cast<float>(first.total);
    if (terms == 1) continue;
    const __m256 scale = _mm256_set1_ps(first.scale);
    for (int i = 0; i < 4; ++i) v[i] = _mm256_fnmadd_ps(scale, _mm256_cvtepi32_ps(q[i]), v[i]);
    const Term second = QuantizeGroup(v, p.values[slot + 1], q);
    p.scales[slot + 1] = second.scale;
    p.totals[slot + 1] = second.total;
    p.sums[slot] += second.scale * static_cast<float>(second.total);
    p.sums[slot + 1] = 0;
  }
}

}  // namespace parley::engine::kernels::internal

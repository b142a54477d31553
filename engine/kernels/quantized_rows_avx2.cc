// The quantisation of activations on AVX2. Compiled with -mavx2 -mfma -mf16c; includes nothing that has
// inline code shared with the rest.
#include <immintrin.h>

#include "engine/kernels/quantize_row.h"

namespace parley::engine::kernels::internal {
namespace {

class Group256 {
 public:
  explicit Group256(const float* x) {
    const __m256 infinity = _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000));
    for (int i = 0; i < 4; ++i) {
      v_[i] = _mm256_loadu_ps(x + i * 8);
      v_[i] = _mm256_and_ps(v_[i], _mm256_cmp_ps(Magnitude(v_[i]), infinity, _CMP_LT_OQ));
    }
  }

  float Largest() const {
    __m256 largest8 = Magnitude(v_[0]);
    for (int i = 1; i < 4; ++i) largest8 = _mm256_max_ps(largest8, Magnitude(v_[i]));
    __m128 largest4 = _mm_max_ps(_mm256_castps256_ps128(largest8), _mm256_extractf128_ps(largest8, 1));
    largest4 = _mm_max_ps(largest4, _mm_movehl_ps(largest4, largest4));
    return _mm_cvtss_f32(_mm_max_ss(largest4, _mm_movehdup_ps(largest4)));
  }

  int32_t Round(float inverse, int8_t* values) {
    const __m256 scale = _mm256_set1_ps(inverse);
    for (int i = 0; i < 4; ++i) {
      q_[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v_[i], scale));
      q_[i] = _mm256_max_epi32(_mm256_min_epi32(q_[i], _mm256_set1_epi32(127)), _mm256_set1_epi32(-127));
    }
    const __m256i sum8 = _mm256_add_epi32(_mm256_add_epi32(q_[0], q_[1]), _mm256_add_epi32(q_[2], q_[3]));
    __m128i sum4 = _mm_add_epi32(_mm256_castsi256_si128(sum8), _mm256_extracti128_si256(sum8, 1));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0x4e));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0xb1));
    const __m256i packed16a = _mm256_packs_epi32(q_[0], q_[1]);
    const __m256i packed16b = _mm256_packs_epi32(q_[2], q_[3]);
    const __m256i packed8 = _mm256_packs_epi16(packed16a, packed16b);  // 4-byte pieces out of order
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), _mm256_permutevar8x32_epi32(packed8, order));
    return _mm_cvtsi128_si32(sum4);
  }

  void TakeOff(float scale) {
    const __m256 step = _mm256_set1_ps(scale);
    for (int i = 0; i < 4; ++i) v_[i] = _mm256_fnmadd_ps(step, _mm256_cvtepi32_ps(q_[i]), v_[i]);
  }

 private:
  static __m256 Magnitude(__m256 v) {
    return _mm256_and_ps(v, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)));
  }

  __m256 v_[4];
  __m256i q_[4];
};

}  // namespace

int QuantizeRowAvx2(const float* x, int groups, int slot, int terms, Panel* panels, Rest* rests) {
  return QuantizeRow<Group256>(x, groups, slot, terms, panels, rests);
}

}  // namespace parley::engine::kernels::internal

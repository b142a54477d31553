// The quantisation of activations on AVX-512: a group is two registers. Compiled with -mavx512f -mavx512bw
// -mavx512dq -mavx512vl -mavx512vnni; includes nothing that has inline code shared with the rest.
#include <immintrin.h>

#include "engine/kernels/quantize_row.h"

namespace parley::engine::kernels::internal {
namespace {

class Group512 {
 public:
  explicit Group512(const float* x) {
    constexpr int kNotFinite = 0x01 | 0x08 | 0x10 | 0x80;  // NaNs and infinities
    for (int i = 0; i < 2; ++i) {
      const __m512 v = _mm512_loadu_ps(x + i * 16);
      v_[i] = _mm512_maskz_mov_ps(_knot_mask16(_mm512_fpclass_ps_mask(v, kNotFinite)), v);
    }
  }

  float Largest() const {
    const __m512 largest16 = _mm512_max_ps(_mm512_abs_ps(v_[0]), _mm512_abs_ps(v_[1]));
    const __m256 largest8 =
        _mm256_max_ps(_mm512_castps512_ps256(largest16), _mm512_extractf32x8_ps(largest16, 1));
    __m128 largest4 = _mm_max_ps(_mm256_castps256_ps128(largest8), _mm256_extractf128_ps(largest8, 1));
    largest4 = _mm_max_ps(largest4, _mm_movehl_ps(largest4, largest4));
    return _mm_cvtss_f32(_mm_max_ss(largest4, _mm_movehdup_ps(largest4)));
  }

  int32_t Round(float inverse, int8_t* values) {
    const __m512 scale = _mm512_set1_ps(inverse);
    for (int i = 0; i < 2; ++i) {
      q_[i] = _mm512_cvtps_epi32(_mm512_mul_ps(v_[i], scale));
      q_[i] = _mm512_max_epi32(_mm512_min_epi32(q_[i], _mm512_set1_epi32(127)), _mm512_set1_epi32(-127));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(values + 16 * i), _mm512_cvtepi32_epi8(q_[i]));
    }
    const __m512i sum16 = _mm512_add_epi32(q_[0], q_[1]);
    const __m256i sum8 = _mm256_add_epi32(_mm512_castsi512_si256(sum16), _mm512_extracti64x4_epi64(sum16, 1));
    __m128i sum4 = _mm_add_epi32(_mm256_castsi256_si128(sum8), _mm256_extracti128_si256(sum8, 1));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0x4e));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0xb1));
    return _mm_cvtsi128_si32(sum4);
  }

  void TakeOff(float scale) {
    const __m512 step = _mm512_set1_ps(scale);
    for (int i = 0; i < 2; ++i) v_[i] = _mm512_fnmadd_ps(step, _mm512_cvtepi32_ps(q_[i]), v_[i]);
  }

 private:
  __m512 v_[2];
  __m512i q_[2];
};

}  // namespace

int QuantizeRowAvx512(const float* x, int groups, int slot, int terms, Panel* panels, Rest* rests) {
  return QuantizeRow<Group512>(x, groups, slot, terms, panels, rests);
}

}  // namespace parley::engine::kernels::internal

// The quantised linear layer on AVX2. Compiled with -mavx2 -mfma -mf16c; includes nothing that has inline
// code shared with the rest.
#include <immintrin.h>

#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels::internal {
namespace {

inline __m256 LoadHalves(const uint8_t* bytes) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}

inline __m256i Broadcast4(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, 4);
  return _mm256_set1_epi32(four);
}

inline void Store(const LinearTask& t, int row, int tile, __m256 y) {
  float* const out = t.y + row * t.y_stride + tile * 8;
  const int left = t.n - tile * 8;
  if (left >= 8) {
    _mm256_storeu_ps(out, y);
    return;
  }
  alignas(32) float all[8];
  _mm256_store_ps(all, y);
  for (int o = 0; o < left; ++o) out[o] = all[o];
}

// R rows against one tile: each weight is unpacked once for all of them.
template <int R>
void Q4Rows(const LinearTask& t, const uint8_t* block, int tile, int row0) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i ones = _mm256_set1_epi16(1);
  const int64_t k = static_cast<int64_t>(t.groups) * 32;
  __m256 y[R];
  for (int r = 0; r < R; ++r) y[r] = _mm256_setzero_ps();
  for (int g = 0; g < t.groups; ++g, block += kQ4BlockBytes) {
    const int8_t* const x = t.x + row0 * k + static_cast<int64_t>(g) * 32;
    __m256i sum[R];  // 16-bit: 15 * 127 * 2 products * 8 additions = 30,480 fits
    for (int r = 0; r < R; ++r) sum[r] = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 32 * j));
      const __m256i low = _mm256_and_si256(both, nibble);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const int8_t* const xr = x + r * k + 4 * j;
        sum[r] = _mm256_add_epi16(sum[r], _mm256_maddubs_epi16(low, Broadcast4(xr)));
        sum[r] = _mm256_add_epi16(sum[r], _mm256_maddubs_epi16(high, Broadcast4(xr + 16)));
      }
    }
    const __m256 scale = LoadHalves(block + 128);
    const __m256 minimum = LoadHalves(block + 144);
    for (int r = 0; r < R; ++r) {
      const int64_t at = static_cast<int64_t>(row0 + r) * t.groups + g;
      const __m256 products = _mm256_cvtepi32_ps(_mm256_madd_epi16(sum[r], ones));
      const __m256 both_scales = _mm256_mul_ps(scale, _mm256_broadcast_ss(t.scales + at));
      y[r] = _mm256_fmadd_ps(products, both_scales, y[r]);
      y[r] = _mm256_fmadd_ps(minimum, _mm256_broadcast_ss(t.sums + at), y[r]);
    }
  }
  for (int r = 0; r < R; ++r) Store(t, row0 + r, tile, y[r]);
}

template <int R>
void Q8Rows(const LinearTask& t, const uint8_t* block, int tile, int row0) {
  const __m256i ones = _mm256_set1_epi16(1);
  const int64_t k = static_cast<int64_t>(t.groups) * 32;
  __m256 y[R];
  for (int r = 0; r < R; ++r) y[r] = _mm256_setzero_ps();
  for (int g = 0; g < t.groups; ++g, block += kQ8BlockBytes) {
    const int8_t* const x = t.x + row0 * k + static_cast<int64_t>(g) * 32;
    __m256i sum[R];
    for (int r = 0; r < R; ++r) sum[r] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      // maddubs takes one unsigned side: the weight's sign moves to the activation. 128 * 127 * 2 fits 16
      // bits.
      const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 32 * j));
      const __m256i magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m256i signed_x = _mm256_sign_epi8(Broadcast4(x + r * k + 4 * j), w);
        sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, signed_x), ones));
      }
    }
    const __m256 scale = LoadHalves(block + 256);
    for (int r = 0; r < R; ++r) {
      const int64_t at = static_cast<int64_t>(row0 + r) * t.groups + g;
      const __m256 both_scales = _mm256_mul_ps(scale, _mm256_broadcast_ss(t.scales + at));
      y[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r]), both_scales, y[r]);
    }
  }
  for (int r = 0; r < R; ++r) Store(t, row0 + r, tile, y[r]);
}

using RowsKernel = void (*)(const LinearTask&, const uint8_t*, int, int);

inline void ForEachTile(const LinearTask& t, int block_bytes, const RowsKernel (&kernels)[5]) {
  for (int tile = t.tile_begin; tile < t.tile_end; ++tile) {
    const uint8_t* const block = t.packed + static_cast<int64_t>(tile) * t.groups * block_bytes;
    int row = 0;
    for (; row + 4 <= t.rows; row += 4) kernels[4](t, block, tile, row);
    if (row < t.rows) kernels[t.rows - row](t, block, tile, row);
  }
}

}  // namespace

void MultiplyQ4Avx2(const LinearTask& t) {
  static constexpr RowsKernel kernels[5] = {nullptr, Q4Rows<1>, Q4Rows<2>, Q4Rows<3>, Q4Rows<4>};
  ForEachTile(t, kQ4BlockBytes, kernels);
}

void MultiplyQ8Avx2(const LinearTask& t) {
  static constexpr RowsKernel kernels[5] = {nullptr, Q8Rows<1>, Q8Rows<2>, Q8Rows<3>, Q8Rows<4>};
  ForEachTile(t, kQ8BlockBytes, kernels);
}

void QuantizeRowAvx2(const float* x, int k, int8_t* values, float* scales, float* sums) {
  const __m256 magnitude_bits = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  const __m256 infinity = _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000));
  for (int g = 0; g < k / 32; ++g) {
    __m256 v[4];
    __m256 largest8 = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_loadu_ps(x + g * 32 + i * 8);
      const __m256 magnitude = _mm256_and_ps(v[i], magnitude_bits);
      const __m256 finite = _mm256_cmp_ps(magnitude, infinity, _CMP_LT_OQ);
      v[i] = _mm256_and_ps(v[i], finite);
      largest8 = _mm256_max_ps(largest8, _mm256_and_ps(magnitude, finite));
    }
    __m128 largest4 = _mm_max_ps(_mm256_castps256_ps128(largest8), _mm256_extractf128_ps(largest8, 1));
    largest4 = _mm_max_ps(largest4, _mm_movehl_ps(largest4, largest4));
    largest4 = _mm_max_ss(largest4, _mm_movehdup_ps(largest4));
    const float largest = _mm_cvtss_f32(largest4);
    if (largest < kSmallest) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(values + g * 32), _mm256_setzero_si256());
      scales[g] = sums[g] = 0;
      continue;
    }
    const __m256 inverse = _mm256_set1_ps(127.0f / largest);
    __m256i q[4];
    for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
    const __m256i sum8 = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    __m128i sum4 = _mm_add_epi32(_mm256_castsi256_si128(sum8), _mm256_extracti128_si256(sum8, 1));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0x4e));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0xb1));
    const __m256i packed16a = _mm256_packs_epi32(q[0], q[1]);
    const __m256i packed16b = _mm256_packs_epi32(q[2], q[3]);
    const __m256i packed8 = _mm256_packs_epi16(packed16a, packed16b);  // 4-byte pieces out of order
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values + g * 32),
                        _mm256_permutevar8x32_epi32(packed8, order));
    scales[g] = largest / 127.0f;
    sums[g] = scales[g] * static_cast<float>(_mm_cvtsi128_si32(sum4));
  }
}

}  // namespace parley::engine::kernels::internal

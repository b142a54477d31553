// Paged attention on AVX2: up to six query vectors share every key and value that is converted.
#include <immintrin.h>

#include "engine/kernels/attention_simd.h"

namespace parley::engine::kernels::internal {
namespace {

constexpr int kBlock = 6;  // query vectors at once: 12 accumulators, 2 operands, 1 broadcast of 16 registers

inline __m256 LoadHalves(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// e^x for x <= 0, relative error below 2e-7; 0 below -87. Cody-Waite reduction and a polynomial of degree 6.
inline __m256 Exp(__m256 x) {
  const __m256 small = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), 8);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.3888889e-3f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3333333e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1666667e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666667e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(small, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
}

inline float Largest(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

inline float Sum(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

template <int N>
void Block(const AttentionTask& t, Query* queries) {
  const int dim = t.head_dim;
  alignas(32) float out[N][kMaxHeadDim];
  int longest = 0;
  for (int n = 0; n < N; ++n) {
    for (int d = 0; d < dim; d += 8) _mm256_store_ps(&out[n][d], _mm256_setzero_ps());
    if (queries[n].length > longest) longest = queries[n].length;
  }
  const __m256 scale = _mm256_set1_ps(t.scale);
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (int first = 0, p = 0; first < longest; first += t.counts[p++]) {
    const int count = t.counts[p];
    const uint16_t* const keys = t.pages[p] + t.offset;
    const uint16_t* const values = keys + dim * kPageTokens;
    // The next page's keys and values lie elsewhere: the processor does not guess where.
    const uint16_t* const ahead = first + count < longest ? t.pages[p + 1] + t.offset : keys;

    __m256 score[N][2];
    for (int n = 0; n < N; ++n) score[n][0] = score[n][1] = _mm256_setzero_ps();
    for (int d = 0; d < dim; ++d) {
      __builtin_prefetch(ahead + 2 * d * kPageTokens);
      const __m256 k0 = LoadHalves(keys + d * kPageTokens);
      const __m256 k1 = LoadHalves(keys + d * kPageTokens + 8);
#pragma GCC unroll 6
      for (int n = 0; n < N; ++n) {
        const __m256 q = _mm256_broadcast_ss(queries[n].q + d);
        score[n][0] = _mm256_fmadd_ps(q, k0, score[n][0]);
        score[n][1] = _mm256_fmadd_ps(q, k1, score[n][1]);
      }
    }

    alignas(32) float weight[N][kPageTokens];
    for (int n = 0; n < N; ++n) {
      Query& query = queries[n];
      // What the query may not see (and stale memory past the end) counts as minus infinity.
      const int left = query.length - first;
      const __m256i seen = _mm256_set1_epi32(left < count ? left : count);
      const __m256 see0 = _mm256_castsi256_ps(_mm256_cmpgt_epi32(seen, lane));
      const __m256 see1 =
          _mm256_castsi256_ps(_mm256_cmpgt_epi32(seen, _mm256_add_epi32(lane, _mm256_set1_epi32(8))));
      const __m256 nothing = _mm256_set1_ps(kMinusInfinity);
      const __m256 s0 = _mm256_blendv_ps(nothing, _mm256_mul_ps(score[n][0], scale), see0);
      const __m256 s1 = _mm256_blendv_ps(nothing, _mm256_mul_ps(score[n][1], scale), see1);
      const float page_largest = Largest(_mm256_max_ps(s0, s1));
      if (page_largest > query.largest) {
        const __m256 keep = Exp(_mm256_set1_ps(query.largest - page_largest));
        query.total *= _mm256_cvtss_f32(keep);
        for (int d = 0; d < dim; d += 8) {
          _mm256_store_ps(&out[n][d], _mm256_mul_ps(_mm256_load_ps(&out[n][d]), keep));
        }
        query.largest = page_largest;
      }
      const __m256 largest = _mm256_set1_ps(query.largest);
      const __m256 w0 = Exp(_mm256_sub_ps(s0, largest));
      const __m256 w1 = Exp(_mm256_sub_ps(s1, largest));
      query.total += Sum(_mm256_add_ps(w0, w1));
      _mm256_store_ps(weight[n], w0);
      _mm256_store_ps(weight[n] + 8, w1);
    }

    const int tokens = longest - first < count ? longest - first : count;
    for (int d = 0; d < dim; d += 16) {
      __m256 sum[N][2];
      for (int n = 0; n < N; ++n) {
        sum[n][0] = _mm256_load_ps(&out[n][d]);
        sum[n][1] = _mm256_load_ps(&out[n][d + 8]);
      }
      for (int i = 0; i < tokens; ++i) {
        const __m256 v0 = LoadHalves(values + i * dim + d);
        const __m256 v1 = LoadHalves(values + i * dim + d + 8);
#pragma GCC unroll 6
        for (int n = 0; n < N; ++n) {
          const __m256 w = _mm256_broadcast_ss(&weight[n][i]);
          sum[n][0] = _mm256_fmadd_ps(w, v0, sum[n][0]);
          sum[n][1] = _mm256_fmadd_ps(w, v1, sum[n][1]);
        }
      }
      for (int n = 0; n < N; ++n) {
        _mm256_store_ps(&out[n][d], sum[n][0]);
        _mm256_store_ps(&out[n][d + 8], sum[n][1]);
      }
    }
  }
  for (int n = 0; n < N; ++n) {
    const __m256 total = _mm256_set1_ps(queries[n].total);
    for (int d = 0; d < dim; d += 8) {
      _mm256_storeu_ps(queries[n].to + d, _mm256_div_ps(_mm256_load_ps(&out[n][d]), total));
    }
  }
}

}  // namespace

void WriteKeyValueAvx2(const float* key, const float* value, int head_dim, int slot, uint16_t* page) {
  uint16_t* const values = page + head_dim * kPageTokens + slot * head_dim;
  for (int d = 0; d < head_dim; d += 8) {
    const __m128i v = _mm256_cvtps_ph(_mm256_loadu_ps(value + d), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + d), v);
    alignas(16) uint16_t k[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(k),
                    _mm256_cvtps_ph(_mm256_loadu_ps(key + d), _MM_FROUND_TO_NEAREST_INT));
    for (int i = 0; i < 8; ++i) page[(d + i) * kPageTokens + slot] = k[i];
  }
}

void AttendAvx2(const AttentionTask& t) {
  static constexpr BlockKernel kernels[] = {nullptr,  Block<1>, Block<2>, Block<3>,
                                            Block<4>, Block<5>, Block<6>};
  AttendInBlocks<kBlock>(t, kernels);
}

}  // namespace parley::engine::kernels::internal

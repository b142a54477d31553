// Paged attention on AVX-512: a page's sixteen tokens are one register, and up to twelve query vectors share
// every key and value that is converted. Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl; includes
// nothing that has inline code shared with the rest.
#include <immintrin.h>

#include "engine/kernels/attention_simd.h"

namespace parley::engine::kernels::internal {
namespace {

static_assert(kPageTokens == 16);

constexpr int kBlock = 12;  // query vectors at once: 24 accumulators, 2 operands of 32 registers

inline __m512 LoadHalves(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// As Exp of attention_avx2.cc.
inline __m512 Exp(__m512 x) {
  const __mmask16 normal = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0f), _CMP_GE_OQ);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.3888889e-3f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3333333e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1666667e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666667e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  const __m512i exponent =
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
  return _mm512_maskz_mul_ps(normal, p, _mm512_castsi512_ps(exponent));
}

// out[n][d..] += weights x values, for H registers of dimensions from `d` on.
template <int N, int H>
inline void AddValues(const uint16_t* values, int dim, int d, int tokens, const float (*weight)[kPageTokens],
                      float (*out)[kMaxHeadDim]) {
  __m512 sum[N][H];
#pragma GCC unroll 12
  for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) sum[n][h] = _mm512_load_ps(&out[n][d + 16 * h]);
  }
  for (int i = 0; i < tokens; ++i) {
    __m512 v[H];
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) v[h] = LoadHalves(values + i * dim + d + 16 * h);
#pragma GCC unroll 12
    for (int n = 0; n < N; ++n) {
      const __m512 w = _mm512_set1_ps(weight[n][i]);
#pragma GCC unroll 4
      for (int h = 0; h < H; ++h) sum[n][h] = _mm512_fmadd_ps(w, v[h], sum[n][h]);
    }
  }
#pragma GCC unroll 12
  for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
    for (int h = 0; h < H; ++h) _mm512_store_ps(&out[n][d + 16 * h], sum[n][h]);
  }
}

template <int N>
void Block(const AttentionTask& t, Query* queries) {
  const int dim = t.head_dim;
  alignas(64) float out[N][kMaxHeadDim];
  int longest = 0;
  for (int n = 0; n < N; ++n) {
    for (int d = 0; d < dim; d += 16) _mm512_store_ps(&out[n][d], _mm512_setzero_ps());
    if (queries[n].length > longest) longest = queries[n].length;
  }
  const __m512 scale = _mm512_set1_ps(t.scale);
  const __m512 nothing = _mm512_set1_ps(kMinusInfinity);
  for (int first = 0, p = 0; first < longest; first += t.counts[p++]) {
    const int count = t.counts[p];
    const uint16_t* const keys = t.pages[p] + t.offset;
    const uint16_t* const values = keys + dim * kPageTokens;
    // The next page's keys and values lie elsewhere: the processor does not guess where.
    const uint16_t* const ahead = first + count < longest ? t.pages[p + 1] + t.offset : keys;

    // Two sums a query, of even and of odd dimensions: one would wait for itself.
    __m512 score[N][2];
#pragma GCC unroll 12
    for (int n = 0; n < N; ++n) score[n][0] = score[n][1] = _mm512_setzero_ps();
    for (int d = 0; d < dim; d += 2) {
      __builtin_prefetch(ahead + d * kPageTokens);
      __builtin_prefetch(ahead + (dim + d) * kPageTokens);
      const __m512 k0 = LoadHalves(keys + d * kPageTokens);
      const __m512 k1 = LoadHalves(keys + (d + 1) * kPageTokens);
#pragma GCC unroll 12
      for (int n = 0; n < N; ++n) {
        score[n][0] = _mm512_fmadd_ps(_mm512_set1_ps(queries[n].q[d]), k0, score[n][0]);
        score[n][1] = _mm512_fmadd_ps(_mm512_set1_ps(queries[n].q[d + 1]), k1, score[n][1]);
      }
    }

    alignas(64) float weight[N][kPageTokens];
#pragma GCC unroll 12
    for (int n = 0; n < N; ++n) {
      Query& query = queries[n];
      // What the query may not see (and stale memory past the end) counts as minus infinity.
      const int left = query.length - first;
      const int seen = left < 0 ? 0 : left < count ? left : count;
      const __m512 all = _mm512_mul_ps(_mm512_add_ps(score[n][0], score[n][1]), scale);
      const __m512 s = _mm512_mask_mov_ps(nothing, static_cast<__mmask16>((1u << seen) - 1), all);
      const float page_largest = _mm512_reduce_max_ps(s);
      if (page_largest > query.largest) {
        const __m512 keep = Exp(_mm512_set1_ps(query.largest - page_largest));
        query.total *= _mm512_cvtss_f32(keep);
        for (int d = 0; d < dim; d += 16) {
          _mm512_store_ps(&out[n][d], _mm512_mul_ps(_mm512_load_ps(&out[n][d]), keep));
        }
        query.largest = page_largest;
      }
      const __m512 w = Exp(_mm512_sub_ps(s, _mm512_set1_ps(query.largest)));
      query.total += _mm512_reduce_add_ps(w);
      _mm512_store_ps(weight[n], w);
    }

    const int tokens = longest - first < count ? longest - first : count;
    constexpr int kRegisters = N <= 6 ? 4 : 2;
    int d = 0;
    for (; d + 16 * kRegisters <= dim; d += 16 * kRegisters) {
      AddValues<N, kRegisters>(values, dim, d, tokens, weight, out);
    }
    for (; d < dim; d += 16) AddValues<N, 1>(values, dim, d, tokens, weight, out);
  }
  for (int n = 0; n < N; ++n) {
    const __m512 total = _mm512_set1_ps(queries[n].total);
    for (int d = 0; d < dim; d += 16) {
      _mm512_storeu_ps(queries[n].to + d, _mm512_div_ps(_mm512_load_ps(&out[n][d]), total));
    }
  }
}

}  // namespace

void AttendAvx512(const AttentionTask& t) {
  static constexpr BlockKernel kernels[] = {nullptr,   Block<1>,  Block<2>, Block<3>, Block<4>,
                                            Block<5>,  Block<6>,  Block<7>, Block<8>, Block<9>,
                                            Block<10>, Block<11>, Block<12>};
  AttendInBlocks<kBlock>(t, kernels);
}

}  // namespace parley::engine::kernels::internal

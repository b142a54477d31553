// Paged attention on AVX-512: a page's sixteen tokens are one register, and up to twelve query vectors share
// every key and value that is converted. Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl; includes
// nothing that has inline code shared with the rest.
#include <immintrin.h>

#include "engine/kernels/attention_simd.h"
#include "engine/kernels/exp.h"

namespace parley::engine::kernels::internal {
namespace {

static_assert(kPageTokens == 16);

constexpr int kBlock = 12;  // query vectors at once: 24 accumulators, 2 operands of 32 registers

// Sixteen elements of a page, from the index'th on.
template <KvFormat kFormat>
inline __m512 Load(const uint8_t* page, int index) {
  if constexpr (kFormat == KvFormat::kFp32) {
    return _mm512_loadu_ps(reinterpret_cast<const float*>(page) + index);
  } else if constexpr (kFormat == KvFormat::kFp16) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(page + 2 * index)));
  } else {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(page + index));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  }
}

// out[n][d..] += weights x values, for H registers of dimensions from `d` on.
template <KvFormat kFormat, int N, int H>
inline void AddValues(const uint8_t* page, int dim, int d, int tokens, const float (*weight)[kPageTokens],
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
    for (int h = 0; h < H; ++h) v[h] = Load<kFormat>(page, (kPageTokens + i) * dim + d + 16 * h);
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

template <KvFormat kFormat, int N>
void Block(const AttentionTask& t, Query* queries) {
  const int dim = t.head_dim;
  alignas(64) float out[N][kMaxHeadDim];
  int longest = 0;
  for (int n = 0; n < N; ++n) {
    for (int d = 0; d < dim; d += 16) _mm512_store_ps(&out[n][d], _mm512_setzero_ps());
    if (queries[n].length > longest) longest = queries[n].length;
  }
  constexpr int kElementBytes = kFormat == KvFormat::kFp32 ? 4 : kFormat == KvFormat::kFp16 ? 2 : 1;
  const __m512 nothing = _mm512_set1_ps(kMinusInfinity);
  for (int first = 0, p = 0; first < longest; first += t.counts[p++]) {
    const int count = t.counts[p];
    const uint8_t* const page = t.pages[p] + t.offset;
    // The next page's keys and values lie elsewhere: the processor does not guess where.
    const uint8_t* const ahead = first + count < longest ? t.pages[p + 1] + t.offset : page;

    // Two sums a query, of even and of odd dimensions: one would wait for itself.
    __m512 score[N][2];
#pragma GCC unroll 12
    for (int n = 0; n < N; ++n) score[n][0] = score[n][1] = _mm512_setzero_ps();
    for (int d = 0; d < dim; d += 2) {
      __builtin_prefetch(ahead + d * kPageTokens * kElementBytes);
      __builtin_prefetch(ahead + (dim + d) * kPageTokens * kElementBytes);
      const __m512 k0 = Load<kFormat>(page, d * kPageTokens);
      const __m512 k1 = Load<kFormat>(page, (d + 1) * kPageTokens);
#pragma GCC unroll 12
      for (int n = 0; n < N; ++n) {
        score[n][0] = _mm512_fmadd_ps(_mm512_set1_ps(queries[n].q[d]), k0, score[n][0]);
        score[n][1] = _mm512_fmadd_ps(_mm512_set1_ps(queries[n].q[d + 1]), k1, score[n][1]);
      }
    }

    __m512 scale = _mm512_set1_ps(t.scale);
    __m512 value_scale;
    if constexpr (kFormat == KvFormat::kInt8) {
      const auto* const scales = reinterpret_cast<const float*>(page + ScalesAt(dim));
      scale = _mm512_mul_ps(scale, _mm512_load_ps(scales));
      value_scale = _mm512_load_ps(scales + kPageTokens);
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
      __m512 w = Exp(_mm512_sub_ps(s, _mm512_set1_ps(query.largest)));
      query.total += _mm512_reduce_add_ps(w);
      if constexpr (kFormat == KvFormat::kInt8) w = _mm512_mul_ps(w, value_scale);
      _mm512_store_ps(weight[n], w);
    }

    const int tokens = longest - first < count ? longest - first : count;
    constexpr int kRegisters = N <= 6 ? 4 : 2;
    int d = 0;
    for (; d + 16 * kRegisters <= dim; d += 16 * kRegisters) {
      AddValues<kFormat, N, kRegisters>(page, dim, d, tokens, weight, out);
    }
    for (; d < dim; d += 16) AddValues<kFormat, N, 1>(page, dim, d, tokens, weight, out);
  }
  for (int n = 0; n < N; ++n) {
    const __m512 total = _mm512_set1_ps(queries[n].total);
    for (int d = 0; d < dim; d += 16) {
      _mm512_storeu_ps(queries[n].to + d, _mm512_div_ps(_mm512_load_ps(&out[n][d]), total));
    }
  }
}

template <KvFormat kFormat>
void Attend(const AttentionTask& t) {
  static constexpr BlockKernel kernels[] = {nullptr,           Block<kFormat, 1>,  Block<kFormat, 2>,
                                            Block<kFormat, 3>, Block<kFormat, 4>,  Block<kFormat, 5>,
                                            Block<kFormat, 6>, Block<kFormat, 7>,  Block<kFormat, 8>,
                                            Block<kFormat, 9>, Block<kFormat, 10>, Block<kFormat, 11>,
                                            Block<kFormat, 12>};
  AttendInBlocks<kBlock>(t, kernels);
}

}  // namespace

void AttendAvx512(const AttentionTask& t) {
  switch (t.format) {
    case KvFormat::kFp32:
      return Attend<KvFormat::kFp32>(t);
    case KvFormat::kFp16:
      return Attend<KvFormat::kFp16>(t);
    case KvFormat::kInt8:
      return Attend<KvFormat::kInt8>(t);
  }
}

}  // namespace parley::engine::kernels::internal

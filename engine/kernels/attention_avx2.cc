// Paged attention on AVX2: up to six query vectors share every key and value that is converted.
#include <immintrin.h>

#include "engine/kernels/attention_simd.h"
#include "engine/kernels/exp.h"

namespace parley::engine::kernels::internal {
namespace {

constexpr int kBlock = 6;  // query vectors at once: 12 accumulators, 2 operands, 1 broadcast of 16 registers

// Eight elements of a page, from the index'th on.
template <KvFormat kFormat>
inline __m256 Load(const uint8_t* page, int index) {
  if constexpr (kFormat == KvFormat::kFp32) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(page) + index);
  } else if constexpr (kFormat == KvFormat::kFp16) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(page + 2 * index)));
  } else {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(page + index));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
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

template <KvFormat kFormat, int N>
void Block(const AttentionTask& t, Query* queries) {
  const int dim = t.head_dim;
  alignas(32) float out[N][kMaxHeadDim];
  int longest = 0;
  for (int n = 0; n < N; ++n) {
    for (int d = 0; d < dim; d += 8) _mm256_store_ps(&out[n][d], _mm256_setzero_ps());
    if (queries[n].length > longest) longest = queries[n].length;
  }
  constexpr int kElementBytes = kFormat == KvFormat::kFp32 ? 4 : kFormat == KvFormat::kFp16 ? 2 : 1;
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (int first = 0, p = 0; first < longest; first += t.counts[p++]) {
    const int count = t.counts[p];
    const uint8_t* const page = t.pages[p] + t.offset;
    // The next page's keys and values lie elsewhere: the processor does not guess where.
    const uint8_t* const ahead = first + count < longest ? t.pages[p + 1] + t.offset : page;

    __m256 score[N][2];
    for (int n = 0; n < N; ++n) score[n][0] = score[n][1] = _mm256_setzero_ps();
    for (int d = 0; d < dim; ++d) {
      __builtin_prefetch(ahead + 2 * d * kPageTokens * kElementBytes);
      const __m256 k0 = Load<kFormat>(page, d * kPageTokens);
      const __m256 k1 = Load<kFormat>(page, d * kPageTokens + 8);
#pragma GCC unroll 6
      for (int n = 0; n < N; ++n) {
        const __m256 q = _mm256_broadcast_ss(queries[n].q + d);
        score[n][0] = _mm256_fmadd_ps(q, k0, score[n][0]);
        score[n][1] = _mm256_fmadd_ps(q, k1, score[n][1]);
      }
    }

    __m256 scale0 = _mm256_set1_ps(t.scale);
    __m256 scale1 = scale0;
    const auto* const scales = reinterpret_cast<const float*>(page + ScalesAt(dim));
    if constexpr (kFormat == KvFormat::kInt8) {
      scale0 = _mm256_mul_ps(scale0, _mm256_load_ps(scales));
      scale1 = _mm256_mul_ps(scale1, _mm256_load_ps(scales + 8));
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
      const __m256 s0 = _mm256_blendv_ps(nothing, _mm256_mul_ps(score[n][0], scale0), see0);
      const __m256 s1 = _mm256_blendv_ps(nothing, _mm256_mul_ps(score[n][1], scale1), see1);
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
      __m256 w0 = Exp(_mm256_sub_ps(s0, largest));
      __m256 w1 = Exp(_mm256_sub_ps(s1, largest));
      query.total += Sum(_mm256_add_ps(w0, w1));
      if constexpr (kFormat == KvFormat::kInt8) {
        w0 = _mm256_mul_ps(w0, _mm256_load_ps(scales + kPageTokens));
        w1 = _mm256_mul_ps(w1, _mm256_load_ps(scales + kPageTokens + 8));
      }
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
        const __m256 v0 = Load<kFormat>(page, (kPageTokens + i) * dim + d);
        const __m256 v1 = Load<kFormat>(page, (kPageTokens + i) * dim + d + 8);
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

template <KvFormat kFormat>
void Attend(const AttentionTask& t) {
  static constexpr BlockKernel kernels[] = {nullptr,           Block<kFormat, 1>, Block<kFormat, 2>,
                                            Block<kFormat, 3>, Block<kFormat, 4>, Block<kFormat, 5>,
                                            Block<kFormat, 6>};
  AttendInBlocks<kBlock>(t, kernels);
}

inline __m256 Finite(__m256 v) {
  const __m256 magnitude = _mm256_and_ps(v, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)));
  const __m256 infinity = _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000));
  return _mm256_and_ps(v, _mm256_cmp_ps(magnitude, infinity, _CMP_LT_OQ));
}

// Writes x as int8, `kStride` apart; returns its scale.
template <int kStride>
float WriteInt8(const float* x, int n, int8_t* to) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 largest8 = _mm256_setzero_ps();
  for (int i = 0; i < n; i += 8) {
    largest8 = _mm256_max_ps(largest8, _mm256_andnot_ps(sign, Finite(_mm256_loadu_ps(x + i))));
  }
  const float largest = Largest(largest8);
  const bool nothing = largest < kSmallestKv;
  const __m256 inverse = _mm256_set1_ps(nothing ? 0 : 127.0f / largest);
  for (int i = 0; i < n; i += 8) {
    const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(Finite(_mm256_loadu_ps(x + i)), inverse));
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    const int64_t bytes = _mm_cvtsi128_si64(_mm_packs_epi16(words, words));
    if constexpr (kStride == 1) {
      __builtin_memcpy(to + i, &bytes, 8);
    } else {
      for (int b = 0; b < 8; ++b) to[(i + b) * kStride] = static_cast<int8_t>(bytes >> 8 * b);
    }
  }
  return nothing ? 0 : largest / 127.0f;
}

}  // namespace

void WriteKeyValueAvx2(KvFormat format, const float* key, const float* value, int head_dim, int slot,
                       uint8_t* page) {
  if (format == KvFormat::kFp32) return WriteFloats(key, value, head_dim, slot, page);
  const int values_at = (kPageTokens + slot) * head_dim;
  if (format == KvFormat::kInt8) {
    auto* const elements = reinterpret_cast<int8_t*>(page);
    auto* const scales = reinterpret_cast<float*>(page + ScalesAt(head_dim));
    scales[slot] = WriteInt8<kPageTokens>(key, head_dim, elements + slot);
    scales[kPageTokens + slot] = WriteInt8<1>(value, head_dim, elements + values_at);
    return;
  }
  auto* const halves = reinterpret_cast<uint16_t*>(page);
  uint16_t* const values = halves + values_at;
  for (int d = 0; d < head_dim; d += 8) {
    const __m128i v = _mm256_cvtps_ph(_mm256_loadu_ps(value + d), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + d), v);
    alignas(16) uint16_t k[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(k),
                    _mm256_cvtps_ph(_mm256_loadu_ps(key + d), _MM_FROUND_TO_NEAREST_INT));
    for (int i = 0; i < 8; ++i) halves[(d + i) * kPageTokens + slot] = k[i];
  }
}

void AttendAvx2(const AttentionTask& t) {
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

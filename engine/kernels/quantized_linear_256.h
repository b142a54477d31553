// What AVX2 and AVX-VNNI have in common: registers of 256 bits (see quantized_linear_simd.h for the names).
// Include it in files that are compiled for these instructions, and nowhere else.
#pragma once

#include <immintrin.h>

#include "engine/kernels/quantized_linear_simd.h"

namespace parley::engine::kernels::internal {
namespace {

struct Lanes256 {
  using Bytes = __m256i;
  using Sums = __m256i;
  using Ints = __m256i;
  using Floats = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kTermsAtOnce = 4;
  static constexpr int kTilesAtOnce = 1;

  static Bytes Load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Bytes Low(Bytes b) { return _mm256_and_si256(b, _mm256_set1_epi8(15)); }
  static Bytes High(Bytes b) { return Low(_mm256_srli_epi16(b, 4)); }
  static Bytes Broadcast(const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return _mm256_set1_epi32(four);
  }
  static Sums ZeroSums() { return _mm256_setzero_si256(); }
  static void Pin(Sums& sums) { asm("" : "+x"(sums)); }

  static Ints Join(Ints first, Ints second) {
    return _mm256_add_epi32(_mm256_slli_epi32(first, kTermRatioBits), second);
  }
  static Floats ToFloats(Ints ints) { return _mm256_cvtepi32_ps(ints); }
  static Floats ZeroFloats() { return _mm256_setzero_ps(); }
  static Floats LoadHalves(const uint8_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Floats BroadcastFloat(const float* p) { return _mm256_broadcast_ss(p); }
  static Floats Multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static void Store(float* p, Floats v) { _mm256_storeu_ps(p, v); }
};

}  // namespace
}  // namespace parley::engine::kernels::internal

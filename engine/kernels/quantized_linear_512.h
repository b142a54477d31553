// Registers of 512 bits (see quantized_linear_simd.h for the names), for AVX-512 with VNNI and for AMX.
// Include it in files that are compiled for these instructions, and nowhere else.
#pragma once

#include <immintrin.h>

#include "engine/kernels/quantized_linear_simd.h"

namespace parley::engine::kernels::internal {
namespace {

struct Avx512 {
  using Bytes = __m512i;
  using Sums = __m512i;  // 32 bits
  using Ints = __m512i;
  using Floats = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kTermsAtOnce = 8;
  static constexpr int kTilesAtOnce = 2;  // 16 sums, 8 floats, 4 weights

  static Bytes Load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Bytes Low(Bytes b) { return _mm512_and_si512(b, _mm512_set1_epi8(15)); }
  static Bytes High(Bytes b) { return Low(_mm512_srli_epi16(b, 4)); }
  // The instruction takes one unsigned side: 128 is added here, 128 x total taken off at the end.
  static Bytes Signed(Bytes b) { return _mm512_xor_si512(b, _mm512_set1_epi8(-128)); }
  static Bytes Broadcast(const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
  }
  static Sums ZeroSums() { return _mm512_setzero_si512(); }
  static void Dot(Sums& sums, Bytes u, Bytes x) { sums = _mm512_dpbusd_epi32(sums, u, x); }
  static void DotSigned(Sums& sums, Bytes u, Bytes x, const uint8_t*) { Dot(sums, u, x); }
  static Ints Whole(Sums sums) { return sums; }
  static Ints WholeSigned(Sums sums, int32_t total) {
    return _mm512_sub_epi32(sums, _mm512_set1_epi32(128 * total));
  }
  static Ints Join(Ints first, Ints second) {
    return _mm512_add_epi32(_mm512_slli_epi32(first, kTermRatioBits), second);
  }
  static Floats ToFloats(Ints ints) { return _mm512_cvtepi32_ps(ints); }
  static void Pin(Sums& sums) { asm("" : "+v"(sums)); }

  static Floats ZeroFloats() { return _mm512_setzero_ps(); }
  static Floats LoadHalves(const uint8_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Floats BroadcastFloat(const float* p) { return _mm512_set1_ps(*p); }
  static Floats Multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static void Store(float* p, Floats v) { _mm512_storeu_ps(p, v); }
};

}  // namespace
}  // namespace parley::engine::kernels::internal

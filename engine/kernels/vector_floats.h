// Vectors of floats by the compiler's own extension, for kernels that are plain sums of products: one source
// for every width. Include it in files that are compiled for one instruction set, and nowhere else.
#pragma once

#include <stdint.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace parley::engine::kernels::internal {
namespace {

// Halves of registers as whole ones. Spelled out, since GCC 12 does not convert vectors of a dependent type,
// and what it makes of wide ones is not the one instruction that there is.
template <int kLanes>
struct Widened;
template <>
struct Widened<4> {
  typedef uint16_t Halves __attribute__((vector_size(8)));
  typedef uint32_t Wholes __attribute__((vector_size(16)));
  static Wholes Of(Halves halves) { return __builtin_convertvector(halves, Wholes); }
};
template <>
struct Widened<8> {
  typedef uint16_t Halves __attribute__((vector_size(16)));
  typedef uint32_t Wholes __attribute__((vector_size(32)));
  static Wholes Of(Halves halves) {
#ifdef __AVX2__
    return reinterpret_cast<Wholes>(_mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(halves)));
#else
    return __builtin_convertvector(halves, Wholes);
#endif
  }
};
template <>
struct Widened<16> {
  typedef uint16_t Halves __attribute__((vector_size(32)));
  typedef uint32_t Wholes __attribute__((vector_size(64)));
  static Wholes Of(Halves halves) {
#ifdef __AVX512F__
    return reinterpret_cast<Wholes>(_mm512_maskz_cvtepu16_epi32(0xffff, reinterpret_cast<__m256i>(halves)));
#else
    return __builtin_convertvector(halves, Wholes);
#endif
  }
};

template <int kLanes>
struct VectorFloats {
  typedef float Type __attribute__((vector_size(kLanes * sizeof(float))));
  typedef float Unaligned __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

  static Type Load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  // Of bf16: the upper half of a float.
  static Type LoadHalves(const uint16_t* p) {
    typename Widened<kLanes>::Halves halves;
    __builtin_memcpy(&halves, p, sizeof(halves));
    return reinterpret_cast<Type>(Widened<kLanes>::Of(halves) << 16);
  }
  static void Store(float* p, Type v) { *reinterpret_cast<Unaligned*>(p) = v; }
  static Type Clamp(Type v, float low, float high) {
    v = v > low ? v : Type{} + low;
    return v < high ? v : Type{} + high;
  }
};

}  // namespace
}  // namespace parley::engine::kernels::internal

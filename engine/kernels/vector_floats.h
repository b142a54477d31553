// Vectors of floats by the compiler's own extension, for kernels that are plain sums of products: one source
// for every width. Include it in files that are compiled for one instruction set, and nowhere else.
#pragma once

#include <stdint.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace parley::engine::kernels::internal {
namespace {

// What the extension does not have, or leaves to the compiler: whether a product and its sum are rounded once
// or twice (clang decides that anew in every loop, and a row's bits would depend on the rows beside it), and
// how halves of registers become whole ones (GCC 12 does not convert vectors of a dependent type).
template <int kLanes>
struct Register;

template <>
struct Register<4> {
  typedef float Floats __attribute__((vector_size(16)));
  typedef uint16_t Halves __attribute__((vector_size(8)));
  typedef uint32_t Wholes __attribute__((vector_size(16)));
  static Floats MultiplyAdd(Floats a, Floats b, Floats c) { return a * b + c; }
  static Wholes Widen(Halves halves) { return __builtin_convertvector(halves, Wholes); }
};

#ifdef __AVX2__
template <>
struct Register<8> {
  typedef float Floats __attribute__((vector_size(32)));
  typedef uint16_t Halves __attribute__((vector_size(16)));
  typedef uint32_t Wholes __attribute__((vector_size(32)));
  static Floats MultiplyAdd(Floats a, Floats b, Floats c) {
    return reinterpret_cast<Floats>(_mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b),
                                                    reinterpret_cast<__m256>(c)));
  }
  static Wholes Widen(Halves halves) {
    return reinterpret_cast<Wholes>(_mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(halves)));
  }
};
#endif

#ifdef __AVX512F__
template <>
struct Register<16> {
  typedef float Floats __attribute__((vector_size(64)));
  typedef uint16_t Halves __attribute__((vector_size(32)));
  typedef uint32_t Wholes __attribute__((vector_size(64)));
  static Floats MultiplyAdd(Floats a, Floats b, Floats c) {
    return reinterpret_cast<Floats>(_mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b),
                                                    reinterpret_cast<__m512>(c)));
  }
  static Wholes Widen(Halves halves) {
    return reinterpret_cast<Wholes>(_mm512_maskz_cvtepu16_epi32(0xffff, reinterpret_cast<__m256i>(halves)));
  }
};
#endif

template <int kLanes>
struct VectorFloats {
  using Type = typename Register<kLanes>::Floats;
  typedef float Unaligned __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

  static Type Load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  // Of bf16: the upper half of a float.
  static Type LoadHalves(const uint16_t* p) {
    typename Register<kLanes>::Halves halves;
    __builtin_memcpy(&halves, p, sizeof(halves));
    return reinterpret_cast<Type>(Register<kLanes>::Widen(halves) << 16);
  }
  static Type Broadcast(float value) { return value - Type{}; }
  static Type MultiplyAdd(Type a, Type b, Type c) { return Register<kLanes>::MultiplyAdd(a, b, c); }
  static void Store(float* p, Type v) { *reinterpret_cast<Unaligned*>(p) = v; }
  static Type Clamp(Type v, float low, float high) {
    v = v > low ? v : Type{} + low;
    return v < high ? v : Type{} + high;
  }
};

}  // namespace
}  // namespace parley::engine::kernels::internal

// Vectors of floats by the compiler's own extension, for kernels that are plain sums of products: one source
// for every width. Include it in files that are compiled for one instruction set, and nowhere else.
#pragma once

namespace parley::engine::kernels::internal {
namespace {

template <int kLanes>
struct VectorFloats {
  typedef float Type __attribute__((vector_size(kLanes * sizeof(float))));
  typedef float Unaligned __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

  static Type Load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  static void Store(float* p, Type v) { *reinterpret_cast<Unaligned*>(p) = v; }
  static Type Clamp(Type v, float low, float high) {
    v = v > low ? v : Type{} + low;
    return v < high ? v : Type{} + high;
  }
};

}  // namespace
}  // namespace parley::engine::kernels::internal

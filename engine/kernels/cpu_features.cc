#include "engine/kernels/cpu_features.h"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace parley::engine::kernels {

#if defined(__x86_64__)
namespace {

// By cpuid: __builtin_cpu_supports knows neither name in older compilers. What the operating system must
// allow for them is what it must allow for AVX2.
bool HasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool HasAvxVnni() {
  constexpr unsigned kAvxVnniBit = 1 << 4;
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvxVnniBit) != 0;
}

}  // namespace

bool HasIsa(Isa isa) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasF16c();
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvxVnni:
      return avx2 && HasAvxVnni();
    case Isa::kAvx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
  }
  return false;
}
#else
bool HasIsa(Isa isa) { return isa == Isa::kPortable; }
#endif

Isa DetectIsa() {
  static const Isa best = [] {
    const char* const most = std::getenv("PARLEY_MAX_ISA");
    Isa last = Isa::kPortable;
    for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512}) {
      if (HasIsa(isa)) last = isa;
      if (most != nullptr && IsaName(isa) == most) break;
    }
    return last;
  }();
  return best;
}

std::string IsaName(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avx-vnni";
    case Isa::kAvx512:
      return "avx512-vnni";
  }
  return "unknown";
}

}  // namespace parley::engine::kernels

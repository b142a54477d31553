#include "engine/kernels/cpu_features.h"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "engine/kernels/amx_trial.h"

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

bool HasAmx() {
  constexpr unsigned kTileBits = 1 << 24 | 1 << 25;  // AMX-TILE, AMX-INT8
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kTileBits) == kTileBits;
}

// Linux keeps a thread's tiles only for a process that asked for it (Documentation/arch/x86/xstate.rst). It
// is refused by kernels before 5.16 and where a thread's signal stack is too small for them.
bool MayUseTiles() {
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

bool HasIsa(Isa isa) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasF16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni");
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvxVnni:
      return avx2 && HasAvxVnni();
    case Isa::kAvx512:
      return avx512;
    case Isa::kAmx:
      return avx512 && HasAmx() && MayUseTiles();
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
    bool named = false;
    for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kAmx}) {
      if (HasIsa(isa)) last = isa;
      named = most != nullptr && IsaName(isa) == most;
      if (named) break;
    }
    return last == Isa::kAmx && !named && !AmxIsFaster() ? Isa::kAvx512 : last;
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
    case Isa::kAmx:
      return "amx";
  }
  return "unknown";
}

}  // namespace parley::engine::kernels

// Which instructions this processor has: kernels are chosen at run time, nothing is assumed at build time.
#pragma once

#include <string>

namespace parley::engine::kernels {

// In order of preference. Every level but the first has AVX2, FMA and F16C.
enum class Isa {
  kPortable,  // plain C++
  kAvx2,      // AVX2, FMA, F16C
  kAvxVnni,   // and AVX-VNNI
  kAvx512,    // AVX-512 F, BW, DQ, VL and VNNI
  kAmx,       // and AMX's tiles of int8, for products of sixteen rows and more
};

// Whether this processor and operating system have it. Asking for AMX takes the operating system's leave to
// use it, for the whole process.
bool HasIsa(Isa isa);
// The best level that there is, or the one that PARLEY_MAX_ISA names when that is less: to run on one
// processor what another would, in tests and benchmarks. A name that is unknown limits nothing. AMX is taken
// where it is faster, which is tried out unless PARLEY_MAX_ISA names it. All this is looked at once; the
// first call takes a few milliseconds where there is AMX.
Isa DetectIsa();
// "portable", "avx2", "avx-vnni", "avx512-vnni", "amx"
std::string IsaName(Isa isa);

}  // namespace parley::engine::kernels

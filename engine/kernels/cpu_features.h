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
};

// Whether this processor and operating system have it.
bool HasIsa(Isa isa);
// The best level that there is.
Isa DetectIsa();
std::string IsaName(Isa isa);

}  // namespace parley::engine::kernels

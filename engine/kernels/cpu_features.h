// Which instructions this processor has: kernels are chosen at run time, nothing is assumed at build time.
#pragma once

#include <string>

namespace parley::engine::kernels {

// Ordered: each level includes the ones before it.
enum class Isa {
  kPortable,  // plain C++
  kAvx2,      // AVX2, FMA, F16C
};

// The best level that this processor and operating system have.
Isa DetectIsa();
std::string IsaName(Isa isa);

}  // namespace parley::engine::kernels

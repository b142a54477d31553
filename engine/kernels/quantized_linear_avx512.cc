// The quantised linear layer on AVX-512 with VNNI. Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl
// -mavx512vnni; includes nothing that has inline code shared with the rest.
#include "engine/kernels/quantized_linear_512.h"

namespace parley::engine::kernels::internal {

void MultiplyQ4Avx512(const LinearTask& t) { MultiplyTerms<Avx512, false>(t); }
void MultiplyQ8Avx512(const LinearTask& t) { MultiplyTerms<Avx512, true>(t); }

}  // namespace parley::engine::kernels::internal

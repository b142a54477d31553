// The quantised linear layer on AVX-VNNI. Compiled with -mavx2 -mfma -mf16c -mavxvnni; includes nothing that
// has inline code shared with the rest.
#include "engine/kernels/quantized_linear_256.h"

namespace parley::engine::kernels::internal {
namespace {

struct AvxVnni : Lanes256 {
  // Sums: 32 bits. The instruction takes one unsigned side: 128 is added to a signed weight here, and 128 x
  // total taken off at the end.
  static Bytes Signed(Bytes b) { return _mm256_xor_si256(b, _mm256_set1_epi8(-128)); }
  static void Dot(Sums& sums, Bytes u, Bytes x) { sums = _mm256_dpbusd_avx_epi32(sums, u, x); }
  static void DotSigned(Sums& sums, Bytes u, Bytes x, const uint8_t*) { Dot(sums, u, x); }
  static Ints Whole(Sums sums) { return sums; }
  static Ints WholeSigned(Sums sums, int32_t total) {
    return _mm256_sub_epi32(sums, _mm256_set1_epi32(128 * total));
  }
};

}  // namespace

void MultiplyQ4AvxVnni(const LinearTask& t) { MultiplyTerms<AvxVnni, false>(t); }
void MultiplyQ8AvxVnni(const LinearTask& t) { MultiplyTerms<AvxVnni, true>(t); }

}  // namespace parley::engine::kernels::internal

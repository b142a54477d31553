// The quantised linear layer on AVX2. Compiled with -mavx2 -mfma -mf16c;
// includes nothing that has inline code shared with the rest.
#include "engine/kernels/quantized_linear_256.h"

namespace parley::engine::kernels::internal {
namespace {

struct Avx2 : Lanes256 {
  // Sums: of Dot 16 bits, 15 * 127 * 2 products * 8 additions = 30,480 fits; of DotSigned 32 bits.
  static Bytes Signed(Bytes b) { return _mm256_abs_epi8(b); }
  static void Dot(Sums& sums, Bytes u, Bytes x) { sums = _mm256_add_epi16(sums, _mm256_maddubs_epi16(u, x)); }
  // maddubs takes one unsigned side: the weight's sign moves to the activation. 128 * 127 * 2 fits 16 bits.
  static void DotSigned(Sums& sums, Bytes magnitude, Bytes x, const uint8_t* weights) {
    const __m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, Load(weights)));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
  }
  static Ints Whole(Sums sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }
  static Ints WholeSigned(Sums sums, int32_t) { return sums; }
};

}  // namespace

void MultiplyQ4Avx2(const LinearTask& t) { MultiplyTerms<Avx2, false>(t); }
void MultiplyQ8Avx2(const LinearTask& t) { MultiplyTerms<Avx2, true>(t); }

}  // namespace parley::engine::kernels::internal

// bf16: a float's upper half.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace parley::engine::kernels {

// Rounded to nearest, halves to even. NaN stays NaN.
inline uint16_t FloatToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float Bf16ToFloat(uint16_t half) { return std::bit_cast<float>(static_cast<uint32_t>(half) << 16); }

}  // namespace parley::engine::kernels

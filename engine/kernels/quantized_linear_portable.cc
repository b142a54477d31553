// The quantised linear layer in plain C++: runs anywhere, and says what the fast variants must give bit for
// bit.
#include <cmath>
#include <cstring>

#include "engine/kernels/half.h"
#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels::internal {
namespace {

float HalfAt(const uint8_t* bytes, int index) {
  uint16_t half;
  std::memcpy(&half, bytes + 2 * index, 2);
  return HalfToFloat(half);
}

}  // namespace

void MultiplyQ4Portable(const LinearTask& t) {
  for (int tile = t.tile_begin; tile < t.tile_end; ++tile) {
    const uint8_t* const blocks = t.packed + static_cast<int64_t>(tile) * t.groups * kQ4BlockBytes;
    for (int row = 0; row < t.rows; ++row) {
      for (int o = 0; o < 8 && tile * 8 + o < t.n; ++o) {
        float y = 0;
        for (int g = 0; g < t.groups; ++g) {
          const uint8_t* const block = blocks + static_cast<int64_t>(g) * kQ4BlockBytes;
          const int8_t* const x = t.x + (static_cast<int64_t>(row) * t.groups + g) * 32;
          int32_t sum = 0;
          for (int j = 0; j < 4; ++j) {
            for (int i = 0; i < 4; ++i) {
              const uint8_t byte = block[j * 32 + o * 4 + i];
              sum += (byte & 15) * x[4 * j + i] + (byte >> 4) * x[16 + 4 * j + i];
            }
          }
          const int64_t at = static_cast<int64_t>(row) * t.groups + g;
          const float scale = HalfAt(block + 128, o) * t.scales[at];
          y = std::fma(static_cast<float>(sum), scale, y);
          y = std::fma(HalfAt(block + 144, o), t.sums[at], y);
        }
        t.y[row * t.y_stride + tile * 8 + o] = y;
      }
    }
  }
}

void MultiplyQ8Portable(const LinearTask& t) {
  for (int tile = t.tile_begin; tile < t.tile_end; ++tile) {
    const uint8_t* const blocks = t.packed + static_cast<int64_t>(tile) * t.groups * kQ8BlockBytes;
    for (int row = 0; row < t.rows; ++row) {
      for (int o = 0; o < 8 && tile * 8 + o < t.n; ++o) {
        float y = 0;
        for (int g = 0; g < t.groups; ++g) {
          const uint8_t* const block = blocks + static_cast<int64_t>(g) * kQ8BlockBytes;
          const int8_t* const x = t.x + (static_cast<int64_t>(row) * t.groups + g) * 32;
          int32_t sum = 0;
          for (int k = 0; k < 32; ++k) {
            sum += static_cast<int8_t>(block[k / 4 * 32 + o * 4 + k % 4]) * x[k];
          }
          const float scale = HalfAt(block + 256, o) * t.scales[static_cast<int64_t>(row) * t.groups + g];
          y = std::fma(static_cast<float>(sum), scale, y);
        }
        t.y[row * t.y_stride + tile * 8 + o] = y;
      }
    }
  }
}

void QuantizeRowPortable(const float* x, int k, int8_t* values, float* scales, float* sums) {
  for (int g = 0; g < k / 32; ++g) {
    float clean[32];
    float largest = 0;
    for (int i = 0; i < 32; ++i) {
      const float v = x[g * 32 + i];
      clean[i] = std::isfinite(v) ? v : 0;
      largest = std::fmax(largest, std::fabs(clean[i]));
    }
    if (largest < kSmallest) {
      std::memset(values + g * 32, 0, 32);
      scales[g] = sums[g] = 0;
      continue;
    }
    const float inverse = 127.0f / largest;
    int32_t sum = 0;
    for (int i = 0; i < 32; ++i) {
      const int q = static_cast<int>(std::nearbyint(clean[i] * inverse));
      values[g * 32 + i] = static_cast<int8_t>(q);
      sum += q;
    }
    scales[g] = largest / 127.0f;
    sums[g] = scales[g] * static_cast<float>(sum);
  }
}

}  // namespace parley::engine::kernels::internal

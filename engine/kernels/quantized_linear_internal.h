// What the instruction-set variants of the quantised linear layer share: the packed layout and one task.
// Kept free of the standard library: the variants are compiled with other flags than the rest, and an inline
// function that both instantiate could run where its instructions do not exist.
#pragma once

#include <stdint.h>

namespace parley::engine::kernels::internal {

// One tile's share of one group, for outputs o = 0..7 and k = 0..31 of the group:
//   kQ4: 128 bytes, byte [j * 32 + o * 4 + i] = q[o][4j + i] | q[o][16 + 4j + i] << 4   (j = 0..3, i = 0..3)
//        8 fp16 scales, 8 fp16 minimums
//   kQ8: 256 bytes, byte [j * 32 + o * 4 + i] = q[o][4j + i]                            (j = 0..7)
//        8 fp16 scales
// So 4 activations broadcast to every 32-bit lane meet 4 weights of each of the 8 outputs.
inline constexpr int kQ4BlockBytes = 160;
inline constexpr int kQ8BlockBytes = 272;

struct LinearTask {
  const uint8_t* packed;  // of the first tile of the weights
  int groups;             // k / 32
  int n;                  // outputs
  int tile_begin;
  int tile_end;
  const int8_t* x;      // [rows, k]
  const float* scales;  // [rows, groups]
  const float* sums;    // [rows, groups]
  int rows;
  float* y;  // [rows, y_stride]
  int64_t y_stride;
};

void MultiplyQ4Portable(const LinearTask& task);
void MultiplyQ8Portable(const LinearTask& task);
void QuantizeRowPortable(const float* x, int k, int8_t* values, float* scales, float* sums);

void MultiplyQ4Avx2(const LinearTask& task);
void MultiplyQ8Avx2(const LinearTask& task);
void QuantizeRowAvx2(const float* x, int k, int8_t* values, float* scales, float* sums);

// Below this a group counts as zeros: 127 / largest must stay finite.
inline constexpr float kSmallest = 1e-30f;

}  // namespace parley::engine::kernels::internal

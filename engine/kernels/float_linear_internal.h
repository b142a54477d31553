// The instruction-set variants of the dense layer, free of the standard library for the reason that
// quantized_linear_internal.h gives.
#pragma once

#include <stdint.h>

namespace parley::engine::kernels::internal {

struct FloatLinearTask {
  const float* packed;     // [tiles][inputs][16]
  const uint16_t* halves;  // likewise in bf16, instead; null: none
  const float* bias;       // [tiles * 16]
  int outputs;             // the last tile may have fewer than 16
  int tile_begin;
  int tile_end;
  int inputs;
  const float* x;  // [rows, inputs]
  int64_t x_stride;
  int rows;
  float low;  // of what is written
  float high;
  float* y;  // [rows, outputs]
  int64_t y_stride;
};

void FloatLinearPortable(const FloatLinearTask& task);
void FloatLinearAvx2(const FloatLinearTask& task);
void FloatLinearAvx512(const FloatLinearTask& task);

}  // namespace parley::engine::kernels::internal

// What the instruction-set variants of the dense layer share. Kept free of the standard library: the variants
// are compiled with other flags than the rest, and an inline function that both instantiate could run where
// its instructions do not exist.
#pragma once

namespace parley::engine::silero::internal {

struct LinearTask {
  const float* packed;  // [tiles][inputs][16]
  const float* bias;    // [tiles * 16]
  int tiles;
  int inputs;
  const float* x;  // [rows, inputs]
  int rows;
  float* y;  // [rows, tiles * 16]
};

void LinearPortable(const LinearTask& task);
void LinearAvx2(const LinearTask& task);  // AVX2 and FMA

namespace {

typedef float Vector __attribute__((vector_size(32)));
typedef float UnalignedVector __attribute__((vector_size(32), aligned(4), may_alias));

// R rows of x against T tiles: 2 * R * T accumulators stay in registers.
template <int R, int T>
inline void Block(const LinearTask& task, int tile, const float* x, float* y) {
  const int k_count = task.inputs;
  Vector sum[R][T][2];
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) {
      const float* bias = task.bias + (tile + t) * 16;
      sum[r][t][0] = *reinterpret_cast<const UnalignedVector*>(bias);
      sum[r][t][1] = *reinterpret_cast<const UnalignedVector*>(bias + 8);
    }
  }
  const float* w = task.packed + static_cast<long>(tile) * k_count * 16;
  for (int k = 0; k < k_count; ++k) {
    for (int t = 0; t < T; ++t) {
      const float* column = w + (static_cast<long>(t) * k_count + k) * 16;
      const Vector w0 = *reinterpret_cast<const UnalignedVector*>(column);
      const Vector w1 = *reinterpret_cast<const UnalignedVector*>(column + 8);
      for (int r = 0; r < R; ++r) {
        const float value = x[static_cast<long>(r) * k_count + k];
        sum[r][t][0] += w0 * value;
        sum[r][t][1] += w1 * value;
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) {
      float* out = y + static_cast<long>(r) * task.tiles * 16 + (tile + t) * 16;
      *reinterpret_cast<UnalignedVector*>(out) = sum[r][t][0];
      *reinterpret_cast<UnalignedVector*>(out + 8) = sum[r][t][1];
    }
  }
}

template <int R, int T>
inline void Rows(const LinearTask& task, const float* x, float* y) {
  int tile = 0;
  for (; tile + T <= task.tiles; tile += T) Block<R, T>(task, tile, x, y);
  for (; tile < task.tiles; ++tile) Block<R, 1>(task, tile, x, y);
}

inline void RunLinear(const LinearTask& task) {
  const long x_step = task.inputs, y_step = static_cast<long>(task.tiles) * 16;
  int row = 0;
  for (; row + 4 <= task.rows; row += 4) Rows<4, 1>(task, task.x + row * x_step, task.y + row * y_step);
  for (; row + 2 <= task.rows; row += 2) Rows<2, 2>(task, task.x + row * x_step, task.y + row * y_step);
  for (; row < task.rows; ++row) Rows<1, 4>(task, task.x + row * x_step, task.y + row * y_step);
}

}  // namespace

}  // namespace parley::engine::silero::internal

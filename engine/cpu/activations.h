// Rows of activations in the form in which an arithmetic multiplies them with weights.
#pragma once

#include <cstdint>

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/cpu_features.h"
#include "engine/kernels/quantized_rows.h"
#include "engine/model/arithmetic.h"

namespace parley::engine::cpu {

// Reused between steps: memory is taken only where it must grow.
class Activations {
 public:
  explicit Activations(Arithmetic arithmetic) : arithmetic_(arithmetic) {}

  // Rows of k values; what was held is gone.
  void Reset(int rows, int k);
  // Takes x [k] as a row. Threads may set different rows at once. A row's bits depend on x alone.
  void Set(int row, const float* x, kernels::Isa isa);

  int rows() const { return rows_; }
  int k() const { return k_; }
  // Memory of a row.
  int64_t row_bytes() const;
  // Of the integers.
  const kernels::QuantizedRows& quantised() const { return quantised_; }
  // [rows, k], of the others.
  const float* floats() const { return floats_.data(); }

 private:
  const Arithmetic arithmetic_;
  int rows_ = 0;
  int k_ = 0;
  kernels::QuantizedRows quantised_;
  kernels::AlignedBuffer<float> floats_;
};

}  // namespace parley::engine::cpu

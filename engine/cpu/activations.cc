#include "engine/cpu/activations.h"

#include <algorithm>

#include "engine/kernels/bf16.h"

namespace parley::engine::cpu {

void Activations::Reset(int rows, int k) {
  rows_ = rows;
  k_ = k;
  if (IsInteger(arithmetic_)) {
    quantised_.Reset(rows, k, arithmetic_ == Arithmetic::kInt16 ? 2 : 1);
  } else {
    floats_.Resize(static_cast<size_t>(rows) * k);
  }
}

void Activations::Set(int row, const float* x, kernels::Isa isa) {
  if (IsInteger(arithmetic_)) return quantised_.Set(row, x, isa);
  float* const to = floats_.data() + static_cast<int64_t>(row) * k_;
  if (arithmetic_ == Arithmetic::kFp32) {
    std::copy_n(x, k_, to);
  } else {
    for (int i = 0; i < k_; ++i) to[i] = kernels::Bf16ToFloat(kernels::FloatToBf16(x[i]));
  }
}

int64_t Activations::row_bytes() const {
  return IsInteger(arithmetic_) ? quantised_.row_bytes() : static_cast<int64_t>(k_) * sizeof(float);
}

}  // namespace parley::engine::cpu

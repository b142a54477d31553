// Matrix products of quantised rows, shared out among the threads of a team.
#pragma once

#include "absl/types/span.h"
#include "engine/kernels/quantized_rows.h"
#include "engine/kernels/quantized_weights.h"
#include "engine/kernels/thread_team.h"

namespace parley::engine::cpu {

// y [rows, outputs] = x W^T
struct Product {
  const kernels::QuantizedWeights* weights;
  float* y;
};

// Products of the same rows, their tiles shared out together. REQUIRES: x.k() == inputs() of each.
void Multiply(kernels::ThreadTeam& team, const kernels::QuantizedRows& x, absl::Span<const Product> products,
              kernels::Isa isa);

}  // namespace parley::engine::cpu

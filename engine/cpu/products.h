// Matrix products of rows of activations, shared out among the threads of a team.
#pragma once

#include "absl/types/span.h"
#include "engine/cpu/activations.h"
#include "engine/cpu/matrix.h"
#include "engine/kernels/cpu_features.h"
#include "engine/kernels/thread_team.h"

namespace parley::engine::cpu {

// y [rows, outputs] = x W^T
struct Product {
  const Matrix* weights;
  float* y;
};

// Products of the same rows, their tiles shared out together.
void Multiply(kernels::ThreadTeam& team, const Activations& x, absl::Span<const Product> products,
              kernels::Isa isa);

}  // namespace parley::engine::cpu

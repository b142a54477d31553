// What the vector variants of paged attention have in common: blocks of query vectors that share every key
// and value which is loaded. Include it in files that are compiled for one instruction set, and nowhere else.
#pragma once

#include "engine/kernels/attention.h"
#include "engine/kernels/attention_internal.h"

namespace parley::engine::kernels::internal {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();

// One query vector of a block: where it is, how much it sees, its running softmax.
struct Query {
  const float* q;
  float* to;
  int length;
  float largest;
  float total;
};

// Attends for a block of as many queries as its place in a table says.
using BlockKernel = void (*)(const AttentionTask&, Query*);

// All of a task, kBlock queries at a time; `kernels` are for 0 (unused) to kBlock of them.
template <int kBlock>
void AttendInBlocks(const AttentionTask& t, const BlockKernel (&kernels)[kBlock + 1]) {
  Query block[kBlock];
  int filled = 0;
  for (int r = 0; r < t.rows; ++r) {
    for (int g = 0; g < t.group; ++g) {
      const int64_t at = r * t.row_stride + static_cast<int64_t>(g) * t.head_dim;
      block[filled++] = {t.q + at, t.out + at, t.first_length + (t.causal ? r : 0), kMinusInfinity, 0};
      if (filled == kBlock) {
        kernels[filled](t, block);
        filled = 0;
      }
    }
  }
  if (filled > 0) kernels[filled](t, block);
}

}  // namespace
}  // namespace parley::engine::kernels::internal

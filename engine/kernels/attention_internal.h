// Variants of the attention kernel by instruction set; free of the standard library's inline code for the
// reason that quantized_linear_internal.h gives.
#pragma once

#include <stdint.h>

namespace parley::engine::kernels {

struct AttentionTask;

namespace internal {

inline constexpr int kMaxHeadDim = 256;

void AttendPortable(const AttentionTask& task);
void AttendAvx2(const AttentionTask& task);
void AttendAvx512(const AttentionTask& task);

}  // namespace internal
}  // namespace parley::engine::kernels

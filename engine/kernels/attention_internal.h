// Variants of the attention kernel by instruction set; free of the standard library's inline code for the
// reason that quantized_linear_internal.h gives.
#pragma once

#include <stdint.h>

namespace parley::engine::kernels {

struct AttentionTask;

namespace internal {

inline constexpr int kMaxHeadDim = 256;

void WriteKeyValuePortable(const float* key, const float* value, int head_dim, int slot, uint16_t* page);
void WriteKeyValueAvx2(const float* key, const float* value, int head_dim, int slot, uint16_t* page);

void AttendPortable(const AttentionTask& task);
void AttendAvx2(const AttentionTask& task);
void AttendAvx512(const AttentionTask& task);

}  // namespace internal
}  // namespace parley::engine::kernels

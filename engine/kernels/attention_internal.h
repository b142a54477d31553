// Variants of the attention kernel by instruction set; free of the standard library's inline code for the
// reason that quantized_linear_internal.h gives.
#pragma once

#include <stdint.h>

namespace parley::engine::kernels {

enum class KvFormat;
struct AttentionTask;

namespace internal {

// Below this a key or value counts as zeros in int8: 127 / largest must stay finite.
inline constexpr float kSmallestKv = 1e-30f;
// Where the scales of an int8 page begin: of keys by token, then of values.
constexpr int ScalesAt(int head_dim) { return 2 * 16 * head_dim; }

// WriteKeyValue in fp32: there is nothing to compute.
void WriteFloats(const float* key, const float* value, int head_dim, int slot, uint8_t* page);

void WriteKeyValuePortable(KvFormat format, const float* key, const float* value, int head_dim, int slot,
                           uint8_t* page);
void WriteKeyValueAvx2(KvFormat format, const float* key, const float* value, int head_dim, int slot,
                       uint8_t* page);

void AttendPortable(const AttentionTask& task);
void AttendAvx2(const AttentionTask& task);
void AttendAvx512(const AttentionTask& task);

}  // namespace internal
}  // namespace parley::engine::kernels

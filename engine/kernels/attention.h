// Attention of grouped queries over paged keys and values, causal or over everything.
//
// A page holds at most kPageTokens tokens of one layer and one key/value head: keys as
// [head_dim][kPageTokens], so that one SIMD lane is one token, then values as [kPageTokens][head_dim], in
// fp32, in half precision, or as int8, which is followed by a scale for each token's key and one for its
// value. Pages may be partly filled anywhere in a sequence. They are visited in order of position with a
// running softmax, so a query's result is the same bit for bit whether its tokens came in one prefill or in
// many, and whatever other queries are computed beside it.
//
// Plain memory, no threads of its own. The method is that of FlashAttention (arXiv:2205.14135), the pages
// those of PagedAttention (arXiv:2309.06180).
#pragma once

#include <cstdint>

#include "engine/kernels/cpu_features.h"

namespace parley::engine::kernels {

inline constexpr int kPageTokens = 16;
inline constexpr int kMaxHeadDim = 512;

enum class KvFormat {
  kFp32,
  kFp16,
  kInt8,  // symmetric, each key and each value with its own scale: half the memory, and half the time to read
};

// Of one page of one layer and head; a multiple of 64.
constexpr int PageBytes(KvFormat format, int head_dim) {
  const int elements = 2 * kPageTokens * head_dim;
  switch (format) {
    case KvFormat::kFp32:
      return 4 * elements;
    case KvFormat::kFp16:
      return 2 * elements;
    case KvFormat::kInt8:
      break;
  }
  return elements + 2 * kPageTokens * static_cast<int>(sizeof(float));
}

// Writes one token's key and value, [head_dim] floats each, into its slot 0..kPageTokens-1 of a page, rounded
// to nearest. In int8, what is not finite counts as zero.
void WriteKeyValue(KvFormat format, const float* key, const float* value, int head_dim, int slot,
                   uint8_t* page, Isa isa = DetectIsa());

struct AttentionTask {
  KvFormat format = KvFormat::kFp16;
  const uint8_t* const* pages;  // in order of position; aligned to 64 bytes
  const uint8_t* counts;        // by page: tokens in it, 1 to kPageTokens, in its first slots
  int64_t offset;               // bytes from where a page points to this layer's and head's part of it
  int head_dim;                 // a multiple of 16, at most kMaxHeadDim
  float scale;                  // 1 / sqrt(head_dim)
  // Query vectors that share this key/value head: rows x group, vector (r, g) at
  // q + r * row_stride + g * head_dim; its result goes to the same place of `out`, which may be `q`.
  const float* q;
  float* out;
  int rows;
  int group;
  int64_t row_stride;
  // Row r attends to the first first_length + r tokens, counted through the pages: r = 0 is the earliest row
  // of the chunk. Pages past the last row's are not looked at.
  int first_length;
  bool causal = true;  // false: every row attends to the first first_length tokens
};

void Attend(const AttentionTask& task, Isa isa = DetectIsa());

}  // namespace parley::engine::kernels

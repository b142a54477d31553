#include "engine/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/kernels/attention_internal.h"
#include "engine/kernels/half.h"

namespace parley::engine::kernels {

void WriteKeyValue(const float* key, const float* value, int head_dim, int slot, uint16_t* page, Isa isa) {
  (isa == Isa::kPortable ? internal::WriteKeyValuePortable : internal::WriteKeyValueAvx2)(
      key, value, head_dim, slot, page);
}

void Attend(const AttentionTask& task, Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return internal::AttendPortable(task);
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return internal::AttendAvx2(task);
    case Isa::kAvx512:
      return internal::AttendAvx512(task);
  }
}

namespace internal {

void WriteKeyValuePortable(const float* key, const float* value, int head_dim, int slot, uint16_t* page) {
  for (int d = 0; d < head_dim; ++d) page[d * kPageTokens + slot] = FloatToHalf(key[d]);
  uint16_t* const values = page + head_dim * kPageTokens + slot * head_dim;
  for (int d = 0; d < head_dim; ++d) values[d] = FloatToHalf(value[d]);
}

void AttendPortable(const AttentionTask& t) {
  for (int r = 0; r < t.rows; ++r) {
    const int length = t.first_length + (t.causal ? r : 0);
    for (int g = 0; g < t.group; ++g) {
      const float* const q = t.q + r * t.row_stride + static_cast<int64_t>(g) * t.head_dim;
      float out[kMaxHeadDim] = {};
      float largest = -std::numeric_limits<float>::infinity();
      float total = 0;
      for (int first = 0, p = 0; first < length; first += t.counts[p++]) {
        const uint16_t* const keys = t.pages[p] + t.offset;
        const uint16_t* const values = keys + t.head_dim * kPageTokens;
        const int tokens = std::min<int>(t.counts[p], length - first);
        float scores[kPageTokens];
        float page_largest = largest;
        for (int i = 0; i < tokens; ++i) {
          float score = 0;
          for (int d = 0; d < t.head_dim; ++d) score += q[d] * HalfToFloat(keys[d * kPageTokens + i]);
          scores[i] = score * t.scale;
          page_largest = std::max(page_largest, scores[i]);
        }
        const float keep = std::exp(largest - page_largest);
        largest = page_largest;
        total *= keep;
        for (int d = 0; d < t.head_dim; ++d) out[d] *= keep;
        for (int i = 0; i < tokens; ++i) {
          const float weight = std::exp(scores[i] - largest);
          total += weight;
          for (int d = 0; d < t.head_dim; ++d) out[d] += weight * HalfToFloat(values[i * t.head_dim + d]);
        }
      }
      float* const to = t.out + r * t.row_stride + static_cast<int64_t>(g) * t.head_dim;
      for (int d = 0; d < t.head_dim; ++d) to[d] = out[d] / total;
    }
  }
}

}  // namespace internal
}  // namespace parley::engine::kernels

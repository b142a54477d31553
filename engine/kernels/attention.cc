#include "engine/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/kernels/attention_internal.h"
#include "engine/kernels/half.h"

namespace parley::engine::kernels {

void WriteKeyValue(KvFormat format, const float* key, const float* value, int head_dim, int slot,
                   uint8_t* page, Isa isa) {
  (isa == Isa::kPortable ? internal::WriteKeyValuePortable : internal::WriteKeyValueAvx2)(
      format, key, value, head_dim, slot, page);
}

void Attend(const AttentionTask& task, Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return internal::AttendPortable(task);
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return internal::AttendAvx2(task);
    case Isa::kAvx512:
    case Isa::kAmx:
      return internal::AttendAvx512(task);
  }
}

namespace internal {

namespace {

// One layer's head of a page, read as floats.
struct Page {
  KvFormat format;
  int head_dim;
  const uint8_t* memory;

  float Element(int index) const {
    if (format == KvFormat::kFp32) return reinterpret_cast<const float*>(memory)[index];
    if (format == KvFormat::kFp16) return HalfToFloat(reinterpret_cast<const uint16_t*>(memory)[index]);
    return reinterpret_cast<const int8_t*>(memory)[index];
  }
  float Scale(int index) const {
    if (format != KvFormat::kInt8) return 1;
    return reinterpret_cast<const float*>(memory + ScalesAt(head_dim))[index];
  }
  float KeyScale(int token) const { return Scale(token); }
  float ValueScale(int token) const { return Scale(kPageTokens + token); }
  float Key(int d, int token) const { return Element(d * kPageTokens + token); }
  float Value(int d, int token) const { return Element((kPageTokens + token) * head_dim + d); }
};

// Writes x as int8, `stride` apart; returns its scale.
float WriteInt8(const float* x, int n, int stride, int8_t* to) {
  const auto finite = [](float v) { return std::isfinite(v) ? v : 0; };
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(finite(x[i])));
  const float inverse = largest < kSmallestKv ? 0 : 127.0f / largest;
  for (int i = 0; i < n; ++i) to[i * stride] = static_cast<int8_t>(std::nearbyint(finite(x[i]) * inverse));
  return largest < kSmallestKv ? 0 : largest / 127.0f;
}

}  // namespace

void WriteFloats(const float* key, const float* value, int head_dim, int slot, uint8_t* page) {
  auto* const elements = reinterpret_cast<float*>(page);
  for (int d = 0; d < head_dim; ++d) elements[d * kPageTokens + slot] = key[d];
  std::copy_n(value, head_dim, elements + (kPageTokens + slot) * head_dim);
}

void WriteKeyValuePortable(KvFormat format, const float* key, const float* value, int head_dim, int slot,
                           uint8_t* page) {
  const int values_at = (kPageTokens + slot) * head_dim;
  if (format == KvFormat::kInt8) {
    auto* const elements = reinterpret_cast<int8_t*>(page);
    auto* const scales = reinterpret_cast<float*>(page + ScalesAt(head_dim));
    scales[slot] = WriteInt8(key, head_dim, kPageTokens, elements + slot);
    scales[kPageTokens + slot] = WriteInt8(value, head_dim, 1, elements + values_at);
    return;
  }
  if (format == KvFormat::kFp32) {
    WriteFloats(key, value, head_dim, slot, page);
    return;
  }
  auto* const halves = reinterpret_cast<uint16_t*>(page);
  for (int d = 0; d < head_dim; ++d) halves[d * kPageTokens + slot] = FloatToHalf(key[d]);
  for (int d = 0; d < head_dim; ++d) halves[values_at + d] = FloatToHalf(value[d]);
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
        const Page page = {t.format, t.head_dim, t.pages[p] + t.offset};
        const int tokens = std::min<int>(t.counts[p], length - first);
        float scores[kPageTokens];
        float page_largest = largest;
        for (int i = 0; i < tokens; ++i) {
          float score = 0;
          for (int d = 0; d < t.head_dim; ++d) score += q[d] * page.Key(d, i);
          scores[i] = score * (t.scale * page.KeyScale(i));
          page_largest = std::max(page_largest, scores[i]);
        }
        const float keep = std::exp(largest - page_largest);
        largest = page_largest;
        total *= keep;
        for (int d = 0; d < t.head_dim; ++d) out[d] *= keep;
        for (int i = 0; i < tokens; ++i) {
          const float weight = std::exp(scores[i] - largest);
          total += weight;
          const float scaled = weight * page.ValueScale(i);
          for (int d = 0; d < t.head_dim; ++d) out[d] += scaled * page.Value(d, i);
        }
      }
      float* const to = t.out + r * t.row_stride + static_cast<int64_t>(g) * t.head_dim;
      for (int d = 0; d < t.head_dim; ++d) to[d] = out[d] / total;
    }
  }
}

}  // namespace internal
}  // namespace parley::engine::kernels

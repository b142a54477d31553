// Keys and values of one window, of some layers, in pages as engine/kernels/attention.h has them. They grow
// page by page; all layers and heads of 16 tokens are one piece of memory.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/attention.h"

namespace parley::engine::cpu {

class KeyValues {
 public:
  KeyValues() = default;
  // `scale`: of scores, 1 / sqrt(head_dim without its padding).
  KeyValues(kernels::KvFormat format, int layers, int heads, int head_dim, float scale)
      : format_(format), layers_(layers), heads_(heads), head_dim_(head_dim), scale_(scale) {}

  int tokens() const { return tokens_; }
  // Makes room for tokens up to `tokens`; those that are there stay. Fewer: the last are dropped, their
  // memory is kept.
  void Resize(int tokens);
  // keys, values: [heads * head_dim]. Threads may write different tokens at once.
  void Write(int layer, int token, const float* keys, const float* values, kernels::Isa isa);
  // An attention of `rows` query vectors of one head, [head_dim] each and `stride` floats apart, each result
  // in its query's place. Causal: the last row sees all tokens, the one before it one less, ...
  void Attend(int layer, int head, bool causal, int rows, int64_t stride, float* q, kernels::Isa isa) const;

 private:
  int64_t Offset(int layer, int head) const {
    return (static_cast<int64_t>(layer) * heads_ + head) * kernels::PageBytes(format_, head_dim_);
  }

  kernels::KvFormat format_ = kernels::KvFormat::kFp16;
  int layers_ = 0;
  int heads_ = 0;
  int head_dim_ = 0;
  float scale_ = 1;
  int tokens_ = 0;
  std::vector<kernels::AlignedBuffer<uint8_t>> memory_;
  std::vector<const uint8_t*> pages_;
  std::vector<uint8_t> counts_;
};

}  // namespace parley::engine::cpu

// One conversation's keys and values, layer by layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "engine/model/language_model.h"

namespace parley::engine {

// Each layer has two contiguous tensors [kv_heads, capacity, head_dim] that grow together: no pages, and page
// starts mean nothing. What is forgotten is moved together, and a fork is a copy. Used by the model thread
// only.
class KvCache final : public Sequence {
 public:
  // The tokens of one layer that a step attends to.
  struct Layer {
    at::Tensor keys;    // [kv_heads, capacity, head_dim], rotated
    at::Tensor values;  // [kv_heads, capacity, head_dim]
  };

  KvCache(int layers, int kv_heads, int head_dim);

  int length() const override { return length_; }
  // Tokens held.
  int held() const { return Row(length_); }
  void Truncate(int length) override;
  void Forget(int begin, int end) override;
  std::unique_ptr<Sequence> Fork() const override;
  // Makes room for `tokens` more in all layers.
  absl::Status Reserve(int tokens, absl::Span<const int> page_starts = {},
                       int64_t most = std::numeric_limits<int64_t>::max()) override;
  int64_t pages() const override { return 0; }
  int64_t bytes() const override;

  // Writes a layer's new tokens, [tokens, kv_heads, head_dim], after those held; they count from Advance on.
  // REQUIRES: room for them.
  void Write(int layer, const at::Tensor& keys, const at::Tensor& values);
  // The first `length` tokens of a layer, [kv_heads, length, head_dim].
  at::Tensor Keys(int layer, int length) const;
  at::Tensor Values(int layer, int length) const;
  // The step is done: `tokens` more are held.
  void Advance(int tokens) { length_ += tokens; }

 private:
  struct Range {
    int begin;
    int end;
  };
  // Where the token at a position lies: the tokens held before it.
  int Row(int position) const;

  int kv_heads_;
  int head_dim_;
  int capacity_ = 0;
  int length_ = 0;
  std::vector<Range> forgotten_;  // in order of position
  std::vector<Layer> layers_;
};

}  // namespace parley::engine

// Where keys and values lie on one of LibTorch's devices: one tensor, a page after the other.
//
// Owned by the language model; used by the model thread, except page_bytes and stats, which are thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/model/page_memory.h"
#include "engine/schedule/page_table.h"

namespace parley::engine::libtorch {

// Where some tokens are, in order: token i in slot slots[i] of page pages[i].
struct TokenPlaces {
  at::Tensor pages;  // [tokens] int64, on the device
  at::Tensor slots;  // [tokens] int64, on the device
};

class KvPages final : public PageMemory {
 public:
  // All memory is taken here; the pages of an idle CPU cost nothing until they are written. `options`: device
  // and element type. Torch exceptions pass through.
  KvPages(int layers, int kv_heads, int head_dim, int64_t max_bytes, const at::TensorOptions& options);

  schedule::PageStats stats() const { return pages_.stats(); }
  schedule::PagePool* pages() { return &pages_; }

  // One layer's, [tokens, kv_heads, head_dim] in fp32; keys are rotated.
  at::Tensor Keys(int layer, const TokenPlaces& places) const;
  at::Tensor Values(int layer, const TokenPlaces& places) const;
  void Write(int layer, const TokenPlaces& places, const at::Tensor& keys, const at::Tensor& values);

  int64_t page_bytes() const override { return page_bytes_; }
  absl::Status Allocate(int64_t /*pages*/) override { return absl::OkStatus(); }
  void Copy(int from, int to) override;
  uint8_t* Address(int page) override;

 private:
  enum Side { kKeys = 0, kValues = 1 };
  // [pages, kPageTokens, kv_heads, head_dim]
  at::Tensor Of(int layer, Side side) const { return memory_.select(1, layer).select(1, side); }

  const int64_t page_bytes_;
  schedule::PagePool pages_;
  at::Tensor memory_;  // [pages, layers, 2, kPageTokens, kv_heads, head_dim]
};

}  // namespace parley::engine::libtorch

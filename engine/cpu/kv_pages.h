// Where keys and values lie on the CPU: pages of kPageTokens tokens from one pool, all layers and heads of a
// token range in one page (see engine/kernels/attention.h for the layout inside).
//
// Owned by the language model; everything here is called by the model thread, except KvPagePool::stats and
// page_bytes, which are thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/attention.h"
#include "engine/model/page_memory.h"
#include "engine/schedule/page_table.h"

namespace parley::engine::cpu {

static_assert(kernels::kPageTokens == schedule::kPageTokens);

struct KvShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
  kernels::KvFormat format = kernels::KvFormat::kFp16;
};

class KvPagePool final : public PageMemory {
 public:
  KvPagePool(KvShape shape, int64_t max_bytes);

  schedule::PageStats stats() const { return pages_.stats(); }
  schedule::PagePool* pages() { return &pages_; }
  // Where a layer's head begins inside a page, in bytes.
  int64_t Offset(int layer, int head) const {
    return (static_cast<int64_t>(layer) * shape_.kv_heads + head) * head_bytes_;
  }

  int64_t page_bytes() const override { return page_bytes_; }
  // Memory is kept until the pool goes.
  absl::Status Allocate(int64_t pages) override;
  void Copy(int from, int to) override;
  uint8_t* Address(int page) override { return memory_[page].data(); }

 private:
  const KvShape shape_;
  const int64_t head_bytes_;  // of one layer's head
  const int64_t page_bytes_;
  schedule::PagePool pages_;
  std::vector<kernels::AlignedBuffer<uint8_t>> memory_;  // by page number
};

}  // namespace parley::engine::cpu

// Where keys and values live on the CPU: pages of kPageTokens tokens from one pool, all layers and heads of a
// token range in one page (see engine/kernels/attention.h for the layout inside). Which sequence holds which
// page is kept by engine/schedule/page_table.h; here is the memory.
//
// Owned by the language model; everything here is called by the model thread, except KvPagePool::stats and
// page_bytes, which are thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/attention.h"
#include "engine/model/language_model.h"
#include "engine/schedule/page_table.h"

namespace parley::engine::cpu {

static_assert(kernels::kPageTokens == schedule::kPageTokens);

struct KvShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
  kernels::KvFormat format = kernels::KvFormat::kFp16;
};

// The memory of a page is made when the page is first used, and kept.
class KvPagePool {
 public:
  KvPagePool(KvShape shape, int64_t max_bytes);

  int64_t page_bytes() const { return page_bytes_; }
  schedule::PageStats stats() const { return pages_.stats(); }
  schedule::PagePool* pages() { return &pages_; }
  // Where a layer's head begins inside a page, in bytes.
  int64_t Offset(int layer, int head) const {
    return (static_cast<int64_t>(layer) * shape_.kv_heads + head) * head_bytes_;
  }

  uint8_t* Memory(int page);
  void Copy(int from, int to);

 private:
  const KvShape shape_;
  const int64_t head_bytes_;  // of one layer's head
  const int64_t page_bytes_;
  schedule::PagePool pages_;
  std::vector<kernels::AlignedBuffer<uint8_t>> memory_;  // by page number
};

// One conversation's pages.
class PagedSequence final : public Sequence {
 public:
  // `pool` must outlive it.
  explicit PagedSequence(KvPagePool* pool) : pool_(pool), table_(pool->pages()) {}

  int length() const override { return table_.length(); }
  void Truncate(int length) override { table_.Truncate(length); }
  void Forget(int begin, int end) override { table_.Forget(begin, end); }
  std::unique_ptr<Sequence> Fork() const override;
  absl::Status Reserve(int tokens, absl::Span<const int> page_starts,
                       int64_t most = std::numeric_limits<int64_t>::max()) override;
  int64_t pages() const override { return static_cast<int64_t>(table_.entries().size()); }
  int64_t bytes() const override { return pages() * pool_->page_bytes(); }

  const schedule::PageTable& table() const { return table_; }
  // The step is done: `tokens` more are held. REQUIRES: they were reserved.
  void Advance(int tokens) { table_.Advance(tokens); }

 private:
  KvPagePool* const pool_;
  schedule::PageTable table_;
};

}  // namespace parley::engine::cpu

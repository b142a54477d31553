// Where keys and values live on the CPU: pages of kPageTokens tokens from one pool, all layers and heads of a
// token range in one page (see engine/kernels/attention.h for the layout inside).
//
// Owned by the language model; everything here is called by the model thread, except bytes() and the
// destructor of a sequence, which are thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/attention.h"
#include "engine/runtime/language_model.h"

namespace parley::engine::cpu {

struct KvShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
};

// Pages are made when they are first needed and kept for the next conversation.
class KvPagePool {
 public:
  KvPagePool(KvShape shape, int64_t max_bytes);

  const KvShape& shape() const { return shape_; }
  int64_t page_bytes() const { return page_halves_ * 2; }
  // Where a layer's head begins inside a page.
  int64_t Offset(int layer, int head) const {
    return (static_cast<int64_t>(layer) * shape_.kv_heads + head) * kernels::PageHalves(shape_.head_dim);
  }

  // Appends `count` pages, or none: RESOURCE_EXHAUSTED when the pool is full.
  absl::Status Take(int count, std::vector<uint16_t*>& pages);
  void Give(std::vector<uint16_t*>::const_iterator begin, std::vector<uint16_t*>::const_iterator end);

 private:
  const KvShape shape_;
  const int64_t page_halves_;
  const int64_t max_pages_;
  absl::Mutex mutex_;
  std::vector<kernels::AlignedBuffer<uint16_t>> memory_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint16_t*> free_ ABSL_GUARDED_BY(mutex_);
};

// One conversation's pages, in order of position.
class PagedSequence final : public Sequence {
 public:
  // `pool` must outlive it.
  explicit PagedSequence(KvPagePool* pool) : pool_(pool) {}
  ~PagedSequence() override { Truncate(0); }

  int length() const override { return length_; }
  void Truncate(int length) override;
  int64_t bytes() const override { return pages_held_.load(std::memory_order_relaxed) * pool_->page_bytes(); }

  // Makes room for `tokens` more; on an error nothing has changed.
  absl::Status Reserve(int tokens);
  // The step is done: `tokens` more are held.
  void Advance(int tokens) { length_ += tokens; }
  const std::vector<uint16_t*>& pages() const { return pages_; }

 private:
  KvPagePool* const pool_;
  std::vector<uint16_t*> pages_;
  std::atomic<int64_t> pages_held_{0};
  int length_ = 0;
};

}  // namespace parley::engine::cpu

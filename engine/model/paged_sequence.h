// A sequence whose keys and values lie in pages, on any device.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/model/language_model.h"
#include "engine/model/page_memory.h"
#include "engine/schedule/page_table.h"

namespace parley::engine {

// Used by the model thread only.
class PagedSequence final : public Sequence {
 public:
  // Both must outlive it.
  PagedSequence(schedule::PagePool* pool, PageMemory* memory) : pool_(pool), memory_(memory), table_(pool) {}

  int length() const override { return table_.length(); }
  void Truncate(int length) override { table_.Truncate(length); }
  void Forget(int begin, int end) override { table_.Forget(begin, end); }
  std::unique_ptr<Sequence> Fork() const override;
  absl::Status Reserve(int tokens, absl::Span<const int> page_starts,
                       int64_t most = std::numeric_limits<int64_t>::max()) override;
  int64_t pages() const override { return static_cast<int64_t>(table_.entries().size()); }
  int64_t bytes() const override { return pages() * memory_->page_bytes(); }

  // The pages of what is held and reserved have memory.
  const schedule::PageTable& table() const { return table_; }
  // The step is done: `tokens` more are held. REQUIRES: they were reserved.
  void Advance(int tokens) { table_.Advance(tokens); }

 private:
  schedule::PagePool* const pool_;
  PageMemory* const memory_;
  schedule::PageTable table_;
};

}  // namespace parley::engine

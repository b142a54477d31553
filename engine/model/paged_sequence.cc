#include "engine/model/paged_sequence.h"

#include <algorithm>

namespace parley::engine {

std::unique_ptr<Sequence> PagedSequence::Fork() const {
  auto fork = std::make_unique<PagedSequence>(pool_, memory_);
  fork->table_.Share(table_);
  return fork;
}

absl::Status PagedSequence::Reserve(int tokens, absl::Span<const int> page_starts, int64_t most) {
  // At most so many new ones: each piece between two starts may leave a page partly filled, and a shared page
  // that is filled up is copied.
  const schedule::PageStats stats = pool_->stats();
  const int64_t fresh = schedule::PagesOf(tokens) + static_cast<int64_t>(page_starts.size()) + 1;
  if (absl::Status status = memory_->Allocate(std::min(stats.total, stats.in_use + fresh)); !status.ok()) {
    return status;
  }
  return table_.Reserve(tokens, page_starts, most, [this](int from, int to) { memory_->Copy(from, to); });
}

}  // namespace parley::engine

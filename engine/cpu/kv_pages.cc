#include "engine/cpu/kv_pages.h"

#include <cstring>

namespace parley::engine::cpu {

KvPagePool::KvPagePool(KvShape shape, int64_t max_bytes)
    : shape_(shape),
      page_halves_(static_cast<int64_t>(shape.layers) * shape.kv_heads * kernels::PageHalves(shape.head_dim)),
      pages_(max_bytes / (page_halves_ * 2)) {}

uint16_t* KvPagePool::Memory(int page) {
  if (static_cast<size_t>(page) >= memory_.size()) memory_.resize(page + 1);
  memory_[page].Resize(page_halves_);
  return memory_[page].data();
}

void KvPagePool::Copy(int from, int to) { std::memcpy(Memory(to), Memory(from), page_bytes()); }

std::unique_ptr<Sequence> PagedSequence::Fork() const {
  auto fork = std::make_unique<PagedSequence>(pool_);
  fork->table_.Share(table_);
  return fork;
}

absl::Status PagedSequence::Reserve(int tokens, absl::Span<const int> page_starts, int64_t most) {
  return table_.Reserve(tokens, page_starts, most, [this](int from, int to) { pool_->Copy(from, to); });
}

}  // namespace parley::engine::cpu

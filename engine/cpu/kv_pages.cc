#include "engine/cpu/kv_pages.h"

#include <cstring>

namespace parley::engine::cpu {

KvPagePool::KvPagePool(KvShape shape, int64_t max_bytes)
    : shape_(shape),
      head_bytes_(kernels::PageBytes(shape.format, shape.head_dim)),
      page_bytes_(head_bytes_ * shape.layers * shape.kv_heads),
      pages_(max_bytes / page_bytes_) {}

uint8_t* KvPagePool::Memory(int page) {
  if (static_cast<size_t>(page) >= memory_.size()) memory_.resize(page + 1);
  memory_[page].Resize(page_bytes_);
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

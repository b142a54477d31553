#include "engine/cpu/kv_pages.h"

#include <cstring>

namespace parley::engine::cpu {

KvPagePool::KvPagePool(KvShape shape, int64_t max_bytes)
    : shape_(shape),
      head_bytes_(kernels::PageBytes(shape.format, shape.head_dim)),
      page_bytes_(head_bytes_ * shape.layers * shape.kv_heads),
      pages_(max_bytes / page_bytes_) {}

absl::Status KvPagePool::Allocate(int64_t pages) {
  while (static_cast<int64_t>(memory_.size()) < pages) memory_.emplace_back().Resize(page_bytes_);
  return absl::OkStatus();
}

void KvPagePool::Copy(int from, int to) { std::memcpy(Address(to), Address(from), page_bytes()); }

}  // namespace parley::engine::cpu

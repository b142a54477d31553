#include "engine/cpu/kv_pages.h"

#include "absl/strings/str_cat.h"

namespace parley::engine::cpu {

KvPagePool::KvPagePool(KvShape shape, int64_t max_bytes)
    : shape_(shape),
      page_halves_(static_cast<int64_t>(shape.layers) * shape.kv_heads * kernels::PageHalves(shape.head_dim)),
      max_pages_(max_bytes / (page_halves_ * 2)) {}

absl::Status KvPagePool::Take(int count, std::vector<uint16_t*>& pages) {
  absl::MutexLock lock(&mutex_);
  const int64_t to_make = count - static_cast<int64_t>(free_.size());
  if (static_cast<int64_t>(memory_.size()) + to_make > max_pages_) {
    return absl::ResourceExhaustedError(absl::StrCat("the KV cache is full: ", max_pages_, " pages of ",
                                                     kernels::kPageTokens, " tokens, ", free_.size(),
                                                     " free"));
  }
  for (int64_t i = 0; i < to_make; ++i) {
    memory_.emplace_back().Resize(page_halves_);
    free_.push_back(memory_.back().data());
  }
  pages.insert(pages.end(), free_.end() - count, free_.end());
  free_.resize(free_.size() - count);
  return absl::OkStatus();
}

void KvPagePool::Give(std::vector<uint16_t*>::const_iterator begin,
                      std::vector<uint16_t*>::const_iterator end) {
  absl::MutexLock lock(&mutex_);
  free_.insert(free_.end(), begin, end);
}

void PagedSequence::Truncate(int length) {
  length_ = length;
  const size_t keep = (length + kernels::kPageTokens - 1) / kernels::kPageTokens;
  if (keep >= pages_.size()) return;
  pool_->Give(pages_.begin() + keep, pages_.end());
  pages_.resize(keep);
  pages_held_.store(static_cast<int64_t>(keep), std::memory_order_relaxed);
}

absl::Status PagedSequence::Reserve(int tokens) {
  const int need = (length_ + tokens + kernels::kPageTokens - 1) / kernels::kPageTokens;
  const int more = need - static_cast<int>(pages_.size());
  if (more <= 0) return absl::OkStatus();
  const absl::Status status = pool_->Take(more, pages_);
  pages_held_.store(static_cast<int64_t>(pages_.size()), std::memory_order_relaxed);
  return status;
}

}  // namespace parley::engine::cpu

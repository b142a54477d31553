#include "engine/torch/half_attention.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "engine/kernels/attention.h"

#ifndef _OPENMP
#error "without OpenMP at::parallel_for runs on one thread: see CMakeLists.txt"
#endif

namespace parley::engine {
namespace {

using kernels::kPageTokens;

constexpr kernels::KvFormat kFormat = kernels::KvFormat::kFp16;
constexpr int kRowsAtOnce = 24;  // of a task: whole blocks of the kernels

}  // namespace

bool HalfAttention::Supports(int64_t head_dim) { return head_dim % 16 == 0 && head_dim <= 256; }

void HalfAttention::Fill(const float* keys, const float* values, int64_t stride, int64_t tokens,
                         int64_t heads, int64_t head_dim) {
  tokens_ = static_cast<int>(tokens);
  heads_ = static_cast<int>(heads);
  head_dim_ = static_cast<int>(head_dim);
  const int64_t page_bytes = kernels::PageBytes(kFormat, head_dim_);
  const int64_t pages = (tokens + kPageTokens - 1) / kPageTokens;
  memory_.Resize(heads * pages * page_bytes);
  pages_.clear();
  counts_.clear();
  for (int64_t page = 0; page < pages; ++page) {
    pages_.push_back(memory_.data() + page * page_bytes);
    counts_.push_back(static_cast<uint8_t>(std::min<int64_t>(kPageTokens, tokens - page * kPageTokens)));
  }
  at::parallel_for(0, heads * pages, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / pages, page = i % pages;
      for (int slot = 0; slot < counts_[page]; ++slot) {
        const int64_t at = (page * kPageTokens + slot) * stride + head * head_dim;
        kernels::WriteKeyValue(kFormat, keys + at, values + at, head_dim_, slot,
                               memory_.data() + i * page_bytes);
      }
    }
  });
}

void HalfAttention::Attend(float* q, int64_t stride, int64_t rows) const {
  const int64_t blocks = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
  const int64_t head_bytes = static_cast<int64_t>(pages_.size()) * kernels::PageBytes(kFormat, head_dim_);
  at::parallel_for(0, heads_ * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / blocks, row = i % blocks * kRowsAtOnce;
      float* const at = q + row * stride + head * head_dim_;
      kernels::Attend({.format = kFormat,
                       .pages = pages_.data(),
                       .counts = counts_.data(),
                       .offset = head * head_bytes,
                       .head_dim = head_dim_,
                       .scale = 1 / std::sqrt(static_cast<float>(head_dim_)),
                       .q = at,
                       .out = at,
                       .rows = static_cast<int>(std::min<int64_t>(kRowsAtOnce, rows - row)),
                       .group = 1,
                       .row_stride = stride,
                       .first_length = tokens_,
                       .causal = false});
    }
  });
}

}  // namespace parley::engine

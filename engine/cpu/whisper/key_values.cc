#include "engine/cpu/whisper/key_values.h"

#include <algorithm>

namespace parley::engine::cpu {

using kernels::kPageTokens;

void KeyValues::Resize(int tokens) {
  tokens_ = tokens;
  const size_t pages = (static_cast<size_t>(tokens) + kPageTokens - 1) / kPageTokens;
  while (memory_.size() < pages) {
    memory_.emplace_back().Resize(Offset(layers_, 0));
    pages_.push_back(memory_.back().data());
  }
  counts_.resize(pages);
  for (size_t page = 0; page < pages; ++page) {
    counts_[page] =
        static_cast<uint8_t>(std::min<int>(kPageTokens, tokens - static_cast<int>(page) * kPageTokens));
  }
}

void KeyValues::Write(int layer, int token, const float* keys, const float* values, kernels::Isa isa) {
  uint8_t* const page = memory_[token / kPageTokens].data();
  for (int head = 0; head < heads_; ++head) {
    kernels::WriteKeyValue(format_, keys + head * head_dim_, values + head * head_dim_, head_dim_,
                           token % kPageTokens, page + Offset(layer, head), isa);
  }
}

void KeyValues::Attend(int layer, int head, bool causal, int rows, int64_t stride, float* q,
                       kernels::Isa isa) const {
  kernels::Attend({.format = format_,
                   .pages = pages_.data(),
                   .counts = counts_.data(),
                   .offset = Offset(layer, head),
                   .head_dim = head_dim_,
                   .scale = scale_,
                   .q = q,
                   .out = q,
                   .rows = rows,
                   .group = 1,
                   .row_stride = stride,
                   .first_length = causal ? tokens_ - rows + 1 : tokens_,
                   .causal = causal},
                  isa);
}

}  // namespace parley::engine::cpu

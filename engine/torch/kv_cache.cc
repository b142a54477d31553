#include "engine/torch/kv_cache.h"

#include <ATen/ops/clone.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

namespace parley::engine {
namespace {

constexpr int kLeastCapacity = 256;

}  // namespace

KvCache::KvCache(int layers, int kv_heads, int head_dim)
    : kv_heads_(kv_heads), head_dim_(head_dim), layers_(static_cast<size_t>(layers)) {}

int64_t KvCache::bytes() const {
  return int64_t{2} * static_cast<int64_t>(layers_.size()) * kv_heads_ * capacity_ * head_dim_ *
         static_cast<int64_t>(sizeof(float));
}

int KvCache::Row(int position) const {
  int row = position;
  for (const Range& range : forgotten_) {
    if (range.begin < position) row -= range.end - range.begin;
  }
  return row;
}

void KvCache::Truncate(int length) {
  length_ = length;
  while (!forgotten_.empty() && forgotten_.back().begin >= length) forgotten_.pop_back();
}

void KvCache::Forget(int begin, int end) {
  const c10::InferenceMode inference;
  const int to = Row(begin);
  const int from = Row(end);
  const int rows = held() - from;
  if (rows > 0) {
    for (Layer& layer : layers_) {
      for (at::Tensor* tensor : {&layer.keys, &layer.values}) {
        tensor->narrow(1, to, rows).copy_(tensor->narrow(1, from, rows).clone());
      }
    }
  }
  const auto after = std::lower_bound(forgotten_.begin(), forgotten_.end(), begin,
                                      [](const Range& range, int at) { return range.begin < at; });
  forgotten_.insert(after, {begin, end});
}

std::unique_ptr<Sequence> KvCache::Fork() const {
  const c10::InferenceMode inference;
  auto fork = std::make_unique<KvCache>(*this);
  for (Layer& layer : fork->layers_) {
    if (!layer.keys.defined()) continue;
    layer.keys = layer.keys.clone();
    layer.values = layer.values.clone();
  }
  return fork;
}

absl::Status KvCache::Reserve(int tokens, absl::Span<const int> /*page_starts*/, int64_t /*most*/) {
  const c10::InferenceMode inference;
  const int rows = held();
  if (rows + tokens <= capacity_) return absl::OkStatus();
  const int capacity = std::max({kLeastCapacity, rows + tokens, capacity_ + capacity_ / 2});
  const auto grow = [&](at::Tensor& tensor) {
    at::Tensor larger = at::empty({kv_heads_, capacity, head_dim_}, at::kFloat);
    if (rows > 0) larger.narrow(1, 0, rows).copy_(tensor.narrow(1, 0, rows));
    tensor = larger;
  };
  for (Layer& layer : layers_) {
    grow(layer.keys);
    grow(layer.values);
  }
  capacity_ = capacity;
  return absl::OkStatus();
}

void KvCache::Write(int layer, const at::Tensor& keys, const at::Tensor& values) {
  const Layer& to = layers_[static_cast<size_t>(layer)];
  to.keys.narrow(1, held(), keys.size(0)).copy_(keys.transpose(0, 1));
  to.values.narrow(1, held(), values.size(0)).copy_(values.transpose(0, 1));
}

at::Tensor KvCache::Keys(int layer, int length) const {
  return layers_[static_cast<size_t>(layer)].keys.narrow(1, 0, length);
}

at::Tensor KvCache::Values(int layer, int length) const {
  return layers_[static_cast<size_t>(layer)].values.narrow(1, 0, length);
}

}  // namespace parley::engine

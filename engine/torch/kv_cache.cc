#include "engine/torch/kv_cache.h"

#include <ATen/ops/empty.h>

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

void KvCache::Reserve(int length) {
  if (length <= capacity_) return;
  const int capacity = std::max({kLeastCapacity, length, capacity_ + capacity_ / 2});
  const auto grow = [&](at::Tensor& tensor) {
    at::Tensor larger = at::empty({kv_heads_, capacity, head_dim_}, at::kFloat);
    if (length_ > 0) larger.narrow(1, 0, length_).copy_(tensor.narrow(1, 0, length_));
    tensor = larger;
  };
  for (Layer& layer : layers_) {
    grow(layer.keys);
    grow(layer.values);
  }
  capacity_ = capacity;
}

void KvCache::Write(int layer, const at::Tensor& keys, const at::Tensor& values) {
  const Layer& to = layers_[static_cast<size_t>(layer)];
  to.keys.narrow(1, length_, keys.size(0)).copy_(keys.transpose(0, 1));
  to.values.narrow(1, length_, values.size(0)).copy_(values.transpose(0, 1));
}

at::Tensor KvCache::Keys(int layer, int length) const {
  return layers_[static_cast<size_t>(layer)].keys.narrow(1, 0, length);
}

at::Tensor KvCache::Values(int layer, int length) const {
  return layers_[static_cast<size_t>(layer)].values.narrow(1, 0, length);
}

}  // namespace parley::engine

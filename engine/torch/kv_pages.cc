#include "engine/torch/kv_pages.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index.h>
#include <ATen/ops/index_put.h>
#include <c10/core/InferenceMode.h>

namespace parley::engine::libtorch {

KvPages::KvPages(int layers, int kv_heads, int head_dim, int64_t max_bytes, const at::TensorOptions& options)
    : page_bytes_(int64_t{layers} * 2 * schedule::kPageTokens * kv_heads * head_dim *
                  static_cast<int64_t>(options.dtype().itemsize())),
      pages_(max_bytes / page_bytes_),
      memory_(at::empty({max_bytes / page_bytes_, layers, 2, schedule::kPageTokens, kv_heads, head_dim},
                        options)) {}

at::Tensor KvPages::Keys(int layer, const TokenPlaces& places) const {
  return at::index(Of(layer, kKeys), {places.pages, places.slots}).to(at::kFloat);
}

at::Tensor KvPages::Values(int layer, const TokenPlaces& places) const {
  return at::index(Of(layer, kValues), {places.pages, places.slots}).to(at::kFloat);
}

void KvPages::Write(int layer, const TokenPlaces& places, const at::Tensor& keys, const at::Tensor& values) {
  const at::ScalarType type = memory_.scalar_type();
  Of(layer, kKeys).index_put_({places.pages, places.slots}, keys.to(type));
  Of(layer, kValues).index_put_({places.pages, places.slots}, values.to(type));
}

void KvPages::Copy(int from, int to) {
  const c10::InferenceMode inference;
  memory_.select(0, to).copy_(memory_.select(0, from));
}

uint8_t* KvPages::Address(int page) {
  return static_cast<uint8_t*>(memory_.mutable_data_ptr()) + page * page_bytes_;
}

}  // namespace parley::engine::libtorch

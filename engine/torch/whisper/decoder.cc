#include "engine/torch/whisper/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"

namespace parley::engine::whisper {

Decoder::Decoder(WeightReader* reader, const Config& config, Arithmetic arithmetic)
    : heads_(config.decoder_heads), width_(config.width), alignment_heads_(config.alignment_heads) {
  const int width = config.width, ffn = config.decoder_ffn;
  const std::string decoder = "model.decoder.";
  const auto linear = [&](const std::string& name, int outputs, int inputs) {
    return ReadLinear(reader, name, outputs, inputs, arithmetic);
  };
  embedding_ = reader->Read(decoder + "embed_tokens.weight", {config.vocabulary, width});
  positions_ = reader->Read(decoder + "embed_positions.weight", {config.max_decoder_positions, width});
  for (int i = 0; i < config.decoder_layers; ++i) {
    const std::string layer = absl::StrCat(decoder, "layers.", i, ".");
    const std::string self = layer + "self_attn.", cross = layer + "encoder_attn.";
    Layer& w = layers_.emplace_back();
    w.self_norm = LayerNorm(reader, layer + "self_attn_layer_norm", width);
    w.qkv = ReadQueryKeyValue(reader, layer + "self_attn", width, arithmetic);
    w.self_out = linear(self + "out_proj", width, width);
    w.cross_norm = LayerNorm(reader, layer + "encoder_attn_layer_norm", width);
    w.cross_q = linear(cross + "q_proj", width, width);
    w.cross_kv =
        MakeLinear(at::cat({reader->Read(cross + "k_proj.weight", {width, width}),
                            reader->Read(cross + "v_proj.weight", {width, width})}),
                   at::cat({at::zeros({width}), reader->Read(cross + "v_proj.bias", {width})}), arithmetic);
    w.cross_out = linear(cross + "out_proj", width, width);
    w.ffn_norm = LayerNorm(reader, layer + "final_layer_norm", width);
    w.up = linear(layer + "fc1", ffn, width);
    w.down = linear(layer + "fc2", width, ffn);
  }
  norm_ = LayerNorm(reader, decoder + "layer_norm", width);
  head_ = MakeLinear(embedding_, at::Tensor(), arithmetic);
}

Decoder::Cache Decoder::Begin(const at::Tensor& audio) const {
  Cache cache;
  const int64_t head_dim = width_ / heads_;
  for (const Layer& layer : layers_) {
    Cache::Layer& to = cache.layers.emplace_back();
    to.keys = at::empty({heads_, max_positions(), head_dim}, at::kFloat);
    to.values = at::empty({heads_, max_positions(), head_dim}, at::kFloat);
    to.queries = at::empty({heads_, max_positions(), head_dim}, at::kFloat);
    const at::Tensor kv = layer.cross_kv->Forward(audio);
    const at::Tensor heads = kv.view({audio.size(0), 2, heads_, head_dim})
                                 .permute({1, 2, 0, 3})
                                 .unsqueeze(1)
                                 .contiguous();  // [2, 1, heads, positions, head_dim]
    to.audio_keys = heads[0];
    to.audio_values = heads[1];
  }
  return cache;
}

at::Tensor Decoder::SelfAttention(const Layer& layer, const at::Tensor& x, Cache::Layer* cache,
                                  int64_t length) const {
  const int64_t rows = x.size(0), head_dim = width_ / heads_;
  const at::Tensor qkv = layer.qkv->Forward(layer.self_norm(x))
                             .view({rows, 3, heads_, head_dim})
                             .permute({1, 2, 0, 3});  // [3, heads, rows, head_dim]
  cache->keys.narrow(1, length, rows).copy_(qkv[1]);
  cache->values.narrow(1, length, rows).copy_(qkv[2]);
  const at::Tensor mixed = at::scaled_dot_product_attention(
      qkv[0].unsqueeze(0), cache->keys.narrow(1, 0, length + rows).unsqueeze(0),
      cache->values.narrow(1, 0, length + rows).unsqueeze(0), {}, 0.0, /*is_causal=*/rows > 1);
  return layer.self_out->Forward(mixed.squeeze(0).transpose(0, 1).reshape({rows, width_}));
}

at::Tensor Decoder::CrossAttention(const Layer& layer, const at::Tensor& x, Cache::Layer* cache,
                                   int64_t length) const {
  const int64_t rows = x.size(0);
  const at::Tensor q =
      layer.cross_q->Forward(layer.cross_norm(x)).view({1, rows, heads_, width_ / heads_}).transpose(1, 2);
  cache->queries.narrow(1, length, rows).copy_(q[0]);
  const at::Tensor mixed = at::scaled_dot_product_attention(q, cache->audio_keys, cache->audio_values);
  return layer.cross_out->Forward(mixed.squeeze(0).transpose(0, 1).reshape({rows, width_}));
}

at::Tensor Decoder::Align(const Cache& cache, int64_t first, int64_t tokens) const {
  const double scale = 1 / std::sqrt(static_cast<double>(width_) / heads_);
  at::Tensor sum;
  for (const AttentionHead& head : alignment_heads_) {
    const Cache::Layer& layer = cache.layers[head.layer];
    const at::Tensor queries = layer.queries[head.head].narrow(0, first, tokens);
    const at::Tensor keys = layer.audio_keys[0][head.head].to(at::kFloat);
    const at::Tensor attention = at::softmax(at::matmul(queries, keys.t()) * scale, -1);
    sum = sum.defined() ? sum + attention : attention;
  }
  return (sum / static_cast<double>(alignment_heads_.size())).contiguous();
}

at::Tensor Decoder::Step(Cache* cache, absl::Span<const TokenId> tokens) const {
  const int64_t rows = static_cast<int64_t>(tokens.size());
  at::Tensor ids = at::empty({rows}, at::kInt);
  std::copy(tokens.begin(), tokens.end(), ids.data_ptr<int32_t>());
  at::Tensor x = embedding_.index_select(0, ids) + positions_.narrow(0, cache->length, rows);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    x = x + SelfAttention(layer, x, &cache->layers[i], cache->length);
    x = x + CrossAttention(layer, x, &cache->layers[i], cache->length);
    x = x + layer.down->Forward(at::gelu(layer.up->Forward(layer.ffn_norm(x))));
  }
  cache->length += rows;
  return norm_(x);
}

at::Tensor Decoder::Logits(const at::Tensor& rows) const { return head_->Forward(rows); }

}  // namespace parley::engine::whisper

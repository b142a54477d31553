#include "engine/torch/whisper_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv1d.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace parley::engine::libtorch {

LayerNorm::LayerNorm(WeightReader* reader, const std::string& name, int width)
    : weight(reader->Read(name + ".weight", {width})), bias(reader->Read(name + ".bias", {width})) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
  return at::layer_norm(x, {weight.size(0)}, weight, bias, 1e-5);
}

std::unique_ptr<const Linear> ReadLinear(WeightReader* reader, const std::string& name, int outputs,
                                         int inputs, Arithmetic arithmetic) {
  return MakeLinear(reader->Read(name + ".weight", {outputs, inputs}),
                    reader->Read(name + ".bias", {outputs}), arithmetic);
}

std::unique_ptr<const Linear> ReadQueryKeyValue(WeightReader* reader, const std::string& name, int width,
                                                Arithmetic arithmetic) {
  return MakeLinear(at::cat({reader->Read(name + ".q_proj.weight", {width, width}),
                             reader->Read(name + ".k_proj.weight", {width, width}),
                             reader->Read(name + ".v_proj.weight", {width, width})}),
                    at::cat({reader->Read(name + ".q_proj.bias", {width}), at::zeros({width}),
                             reader->Read(name + ".v_proj.bias", {width})}),  // keys have no bias
                    arithmetic);
}

WhisperEncoder::WhisperEncoder(WeightReader* reader, const whisper::Config& config, Arithmetic arithmetic)
    : heads_(config.encoder_heads) {
  const int width = config.width, ffn = config.encoder_ffn;
  const std::string encoder = "model.encoder.";
  conv1_weight_ = reader->Read(encoder + "conv1.weight", {width, config.mel_bins, 3});
  conv1_bias_ = reader->Read(encoder + "conv1.bias", {width});
  conv2_weight_ = reader->Read(encoder + "conv2.weight", {width, width, 3});
  conv2_bias_ = reader->Read(encoder + "conv2.bias", {width});
  positions_ = reader->Read(encoder + "embed_positions.weight", {config.max_encoder_positions, width});
  for (int i = 0; i < config.encoder_layers; ++i) {
    const std::string layer = absl::StrCat(encoder, "layers.", i, ".");
    LayerWeights& w = layers_.emplace_back();
    w.attention_norm = LayerNorm(reader, layer + "self_attn_layer_norm", width);
    w.qkv = ReadQueryKeyValue(reader, layer + "self_attn", width, arithmetic);
    w.out = ReadLinear(reader, layer + "self_attn.out_proj", width, width, arithmetic);
    w.ffn_norm = LayerNorm(reader, layer + "final_layer_norm", width);
    w.up = ReadLinear(reader, layer + "fc1", ffn, width, arithmetic);
    w.down = ReadLinear(reader, layer + "fc2", width, ffn, arithmetic);
  }
  norm_ = LayerNorm(reader, encoder + "layer_norm", width);
}

at::Tensor WhisperEncoder::Begin(const at::Tensor& log_mel) const {
  at::Tensor x = at::gelu(at::conv1d(log_mel.unsqueeze(0), conv1_weight_, conv1_bias_, 1, 1));
  x = at::gelu(at::conv1d(x, conv2_weight_, conv2_bias_, 2, 1));  // [1, width, positions]
  x = x.squeeze(0).t();
  return x + positions_.narrow(0, 0, x.size(0));
}

at::Tensor WhisperEncoder::Attend(const at::Tensor& qkv) const {
  const int64_t rows = qkv.size(0), width = qkv.size(1) / 3;
  const at::Tensor heads = qkv.view({rows, 3, heads_, width / heads_})
                               .permute({1, 2, 0, 3})
                               .unsqueeze(1);  // [3, 1, heads, rows, dim]
  return at::scaled_dot_product_attention(heads[0], heads[1], heads[2])
      .squeeze(0)
      .transpose(0, 1)
      .reshape({rows, width});
}

at::Tensor WhisperEncoder::Layer(int layer, const at::Tensor& x) const {
  const LayerWeights& w = layers_[layer];
  const at::Tensor attended = x + w.out->Forward(Attend(w.qkv->Forward(w.attention_norm(x))));
  const at::Tensor up = at::gelu(w.up->Forward(w.ffn_norm(attended)));
  return attended + w.down->Forward(up);
}

at::Tensor WhisperEncoder::End(const at::Tensor& x) const { return norm_(x); }

}  // namespace parley::engine::libtorch

#include "engine/bundle/language_model_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/bundle/language_model_shape.h"

namespace parley::engine::bundle {
namespace {

struct Names {
  absl::string_view gguf;
  absl::string_view hugging_face;
  bool in_layer;
};

Names NamesOf(Weight weight) {
  switch (weight) {
    case Weight::kEmbedding:
      return {"token_embd.weight", "model.embed_tokens.weight", false};
    case Weight::kFinalNorm:
      return {"output_norm.weight", "model.norm.weight", false};
    case Weight::kHead:
      return {"output.weight", "lm_head.weight", false};
    case Weight::kAttentionNorm:
      return {"attn_norm.weight", "input_layernorm.weight", true};
    case Weight::kQuery:
      return {"attn_q.weight", "self_attn.q_proj.weight", true};
    case Weight::kKey:
      return {"attn_k.weight", "self_attn.k_proj.weight", true};
    case Weight::kValue:
      return {"attn_v.weight", "self_attn.v_proj.weight", true};
    case Weight::kQueryBias:
      return {"attn_q.bias", "self_attn.q_proj.bias", true};
    case Weight::kKeyBias:
      return {"attn_k.bias", "self_attn.k_proj.bias", true};
    case Weight::kValueBias:
      return {"attn_v.bias", "self_attn.v_proj.bias", true};
    case Weight::kAttentionOut:
      return {"attn_output.weight", "self_attn.o_proj.weight", true};
    case Weight::kFfnNorm:
      return {"ffn_norm.weight", "post_attention_layernorm.weight", true};
    case Weight::kGate:
      return {"ffn_gate.weight", "mlp.gate_proj.weight", true};
    case Weight::kUp:
      return {"ffn_up.weight", "mlp.up_proj.weight", true};
    case Weight::kDown:
      return {"ffn_down.weight", "mlp.down_proj.weight", true};
  }
  return {};
}

bool IsBias(Weight weight) {
  return weight == Weight::kQueryBias || weight == Weight::kKeyBias || weight == Weight::kValueBias;
}
bool IsQuery(Weight weight) { return weight == Weight::kQuery || weight == Weight::kQueryBias; }
bool IsKey(Weight weight) { return weight == Weight::kKey || weight == Weight::kKeyBias; }
bool IsValue(Weight weight) { return weight == Weight::kValue || weight == Weight::kValueBias; }

std::string LayerTensor(int layer, absl::string_view name) {
  return absl::StrCat("model.layers.", layer, ".", name);
}

std::vector<int64_t> ExpectedShape(const LanguageModelShape& shape, Weight weight) {
  const int64_t queries = int64_t{shape.heads} * shape.head_dim;
  const int64_t keys = int64_t{shape.kv_heads} * shape.head_dim;
  switch (weight) {
    case Weight::kEmbedding:
    case Weight::kHead:
      return {shape.vocabulary, shape.hidden};
    case Weight::kFinalNorm:
    case Weight::kAttentionNorm:
    case Weight::kFfnNorm:
      return {shape.hidden};
    case Weight::kQuery:
      return {queries, shape.hidden};
    case Weight::kKey:
    case Weight::kValue:
      return {keys, shape.hidden};
    case Weight::kQueryBias:
      return {queries};
    case Weight::kKeyBias:
    case Weight::kValueBias:
      return {keys};
    case Weight::kAttentionOut:
      return {shape.hidden, queries};
    case Weight::kGate:
    case Weight::kUp:
      return {shape.ffn, shape.hidden};
    case Weight::kDown:
      return {shape.hidden, shape.ffn};
  }
  return {};
}

constexpr Weight kOutsideLayers[] = {Weight::kEmbedding, Weight::kFinalNorm, Weight::kHead};
constexpr Weight kInLayer[] = {Weight::kAttentionNorm, Weight::kQuery,        Weight::kKey,
                               Weight::kValue,         Weight::kAttentionOut, Weight::kFfnNorm,
                               Weight::kGate,          Weight::kUp,           Weight::kDown};
constexpr Weight kBiases[] = {Weight::kQueryBias, Weight::kKeyBias, Weight::kValueBias};

bool IsWeightType(DType dtype) {
  switch (dtype) {
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
    case DType::kU8:
    case DType::kBool:
      return false;
    default:
      return true;
  }
}

}  // namespace

TensorView LanguageModelFiles::PackedRows(const TensorView& packed, Weight weight) const {
  const int64_t queries = int64_t{shape_.heads} * shape_.head_dim;
  const int64_t keys = int64_t{shape_.kv_heads} * shape_.head_dim;
  const int64_t first = IsQuery(weight) ? 0 : IsKey(weight) ? queries : queries + keys;
  const int64_t rows = IsQuery(weight) ? queries : keys;
  const size_t row_bytes = packed.bytes.size() / static_cast<size_t>(packed.shape[0]);
  TensorView view = packed;
  view.shape[0] = rows;
  view.bytes =
      packed.bytes.subspan(static_cast<size_t>(first) * row_bytes, static_cast<size_t>(rows) * row_bytes);
  return view;
}

absl::StatusOr<TensorView> LanguageModelFiles::Lookup(Weight weight, int layer) const {
  if (weight == Weight::kHead && shape_.tied_head) weight = Weight::kEmbedding;
  const Names names = NamesOf(weight);
  absl::StatusOr<TensorView> view;
  if (gguf_ != nullptr) {
    view = gguf_->Tensor(names.in_layer ? absl::StrCat("blk.", layer, ".", names.gguf)
                                        : std::string(names.gguf));
  } else if (packed_qkv_ && (IsQuery(weight) || IsKey(weight) || IsValue(weight))) {
    const int64_t rows = (int64_t{shape_.heads} + 2 * int64_t{shape_.kv_heads}) * shape_.head_dim;
    view = IsBias(weight)
               ? safetensors_->Find(LayerTensor(layer, "self_attn.W_pack.bias"), {rows})
               : safetensors_->Find(LayerTensor(layer, "self_attn.W_pack.weight"), {rows, shape_.hidden});
    if (view.ok()) view = PackedRows(*view, weight);
  } else {
    view = safetensors_->Find(names.in_layer ? LayerTensor(layer, names.hugging_face)
                                             : std::string(names.hugging_face));
  }
  if (!view.ok()) return view.status();
  const std::vector<int64_t> expected = ExpectedShape(shape_, weight);
  if (view->shape != expected) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": tensor '", view->name, "' is [",
                                                   absl::StrJoin(view->shape, ", "), "], expected [",
                                                   absl::StrJoin(expected, ", "), "]"));
  }
  if (!IsWeightType(view->dtype)) {
    return absl::UnimplementedError(absl::StrCat(path_, ": tensor '", view->name, "' is of type ",
                                                 DTypeName(view->dtype), ", which is no weight"));
  }
  return view;
}

absl::Status LanguageModelFiles::Check() const {
  for (Weight weight : kOutsideLayers) {
    if (const auto view = Lookup(weight, 0); !view.ok()) return view.status();
  }
  for (int layer = 0; layer < shape_.layers; ++layer) {
    for (Weight weight : kInLayer) {
      if (const auto view = Lookup(weight, layer); !view.ok()) return view.status();
    }
    const std::string out_bias = gguf_ != nullptr ? absl::StrCat("blk.", layer, ".attn_output.bias")
                                                  : LayerTensor(layer, "self_attn.o_proj.bias");
    if (gguf_ != nullptr ? gguf_->HasTensor(out_bias) : safetensors_->Has(out_bias)) {
      return absl::UnimplementedError(
          absl::StrCat(path_, ": '", out_bias, "': a bias there is not supported"));
    }
    if (!shape_.qkv_bias) continue;
    for (Weight weight : kBiases) {
      if (const auto view = Lookup(weight, layer); !view.ok()) return view.status();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LanguageModelFiles> LanguageModelFiles::FromGguf(std::shared_ptr<const Gguf> gguf) {
  absl::StatusOr<LanguageModelShape> shape = ShapeFromGguf(*gguf);
  if (!shape.ok()) return shape.status();
  LanguageModelFiles files;
  files.shape_ = *std::move(shape);
  files.path_ = gguf->path();
  files.gguf_ = std::move(gguf);
  files.interleaved_pairs_ = files.shape_.architecture == "llama";
  if (absl::Status status = files.Check(); !status.ok()) return status;
  return files;
}

absl::StatusOr<LanguageModelFiles> LanguageModelFiles::OpenFolder(const std::string& folder) {
  const std::string config_path = absl::StrCat(folder, "/config.json");
  const absl::StatusOr<std::string> config = ReadTextFile(config_path);
  if (!config.ok()) return config.status();
  absl::StatusOr<LanguageModelShape> shape = ShapeFromConfig(*config, config_path);
  if (!shape.ok()) return shape.status();
  absl::StatusOr<Safetensors> safetensors = Safetensors::OpenFolder(folder);
  if (!safetensors.ok()) return safetensors.status();

  LanguageModelFiles files;
  files.shape_ = *std::move(shape);
  files.path_ = folder;
  files.safetensors_ = std::make_shared<const Safetensors>(*std::move(safetensors));
  files.packed_qkv_ = files.safetensors_->Has(LayerTensor(0, "self_attn.W_pack.weight"));
  files.shape_.qkv_bias = files.safetensors_->Has(
      LayerTensor(0, files.packed_qkv_ ? "self_attn.W_pack.bias" : "self_attn.q_proj.bias"));
  // Some checkpoints say nothing of tying and leave the head out.
  if (!files.safetensors_->Has(NamesOf(Weight::kHead).hugging_face)) files.shape_.tied_head = true;
  if (absl::Status status = files.Check(); !status.ok()) return status;
  return files;
}

absl::StatusOr<LanguageModelFiles> LanguageModelFiles::Open(const BundleManifest::Part& part) {
  if (part.kind == "safetensors") return OpenFolder(part.path);
  if (part.kind != "gguf") {
    return absl::UnimplementedError(
        absl::StrCat(part.path, ": language model kind '", part.kind, "' is not known"));
  }
  absl::StatusOr<Gguf> gguf = Gguf::Open(part.path);
  if (!gguf.ok()) return gguf.status();
  return FromGguf(std::make_shared<const Gguf>(*std::move(gguf)));
}

TensorView LanguageModelFiles::Find(Weight weight, int layer) const {
  return Lookup(weight, layer).value_or(TensorView());  // Check() has seen each of them
}

std::vector<int64_t> LanguageModelFiles::RowOrder(Weight weight) const {
  if (!interleaved_pairs_ || !(IsQuery(weight) || IsKey(weight))) return {};
  const int64_t heads = IsQuery(weight) ? shape_.heads : shape_.kv_heads;
  const int64_t half = shape_.head_dim / 2;
  std::vector<int64_t> order;
  order.reserve(static_cast<size_t>(heads * shape_.head_dim));
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t second = 0; second < 2; ++second) {
      for (int64_t pair = 0; pair < half; ++pair) order.push_back(head * shape_.head_dim + 2 * pair + second);
    }
  }
  return order;
}

absl::StatusOr<std::vector<float>> LanguageModelFiles::Floats(Weight weight, int layer) const {
  const absl::StatusOr<TensorView> view = Lookup(weight, layer);
  if (!view.ok()) return view.status();
  std::vector<float> floats(static_cast<size_t>(view->values()));
  const std::vector<int64_t> order = RowOrder(weight);
  if (order.empty()) {
    if (absl::Status status = Dequantize(*view, absl::MakeSpan(floats)); !status.ok()) return status;
    return floats;
  }
  TensorView row = *view;
  row.shape[0] = 1;
  const size_t row_bytes = view->bytes.size() / order.size();
  const size_t row_values = floats.size() / order.size();
  for (size_t i = 0; i < order.size(); ++i) {
    row.bytes = view->bytes.subspan(static_cast<size_t>(order[i]) * row_bytes, row_bytes);
    if (absl::Status status = Dequantize(row, absl::MakeSpan(floats).subspan(i * row_values, row_values));
        !status.ok()) {
      return status;
    }
  }
  return floats;
}

}  // namespace parley::engine::bundle

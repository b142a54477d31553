#include "engine/torch/llama.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::engine {
namespace {

using bundle::LanguageModelFiles;
using bundle::Weight;

// Thrown inside this file only, and turned into the status at its wall.
class LoadError : public std::exception {
 public:
  explicit LoadError(absl::Status status) : status_(std::move(status)) {}
  const absl::Status& status() const { return status_; }
  const char* what() const noexcept override { return "weights could not be read"; }

 private:
  absl::Status status_;
};

// A weight as an fp32 tensor, rows in the model's order.
at::Tensor Read(const LanguageModelFiles& files, Weight weight, int layer) {
  const absl::StatusOr<std::vector<float>> floats = files.Floats(weight, layer);
  if (!floats.ok()) throw LoadError(floats.status());
  at::Tensor tensor = at::empty(files.Find(weight, layer).shape, at::kFloat);
  std::memcpy(tensor.mutable_data_ptr<float>(), floats->data(), floats->size() * sizeof(float));
  return tensor;
}

// Several weights under one another, as one matrix (or one vector of biases).
at::Tensor ReadStacked(const LanguageModelFiles& files, std::initializer_list<Weight> weights, int layer) {
  std::vector<at::Tensor> parts;
  for (Weight weight : weights) parts.push_back(Read(files, weight, layer));
  return at::cat(parts, 0);
}

// Rotates the pairs (i, i + head_dim / 2): x [rows, n, head_dim]; cos, sin [rows, 1, head_dim / 2].
at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = x.size(2) / 2;
  const at::Tensor first = x.narrow(2, 0, half);
  const at::Tensor second = x.narrow(2, half, half);
  return at::cat({first * cos - second * sin, second * cos + first * sin}, 2);
}

}  // namespace

at::Tensor Embedding::Forward(absl::Span<const TokenId> ids) const {
  const int64_t hidden = table_.shape[1];
  const size_t row_bytes = table_.bytes.size() / static_cast<size_t>(table_.shape[0]);
  at::Tensor rows = at::empty({static_cast<int64_t>(ids.size()), hidden}, at::kFloat);
  float* out = rows.mutable_data_ptr<float>();
  bundle::TensorView row = table_;
  row.shape[0] = 1;
  for (TokenId id : ids) {
    row.bytes = table_.bytes.subspan(static_cast<size_t>(id) * row_bytes, row_bytes);
    const absl::Status status = bundle::Dequantize(row, absl::MakeSpan(out, static_cast<size_t>(hidden)));
    if (!status.ok()) throw LoadError(status);
    out += hidden;
  }
  return rows;
}

at::Tensor RmsNorm::Forward(const at::Tensor& x) const {
  return at::rms_norm(x, weight.sizes(), weight, epsilon);
}

Attention::Attention(const LanguageModelFiles& files, int layer, Arithmetic arithmetic)
    : layer_(layer),
      heads_(files.shape().heads),
      kv_heads_(files.shape().kv_heads),
      head_dim_(files.shape().head_dim),
      qkv_(MakeLinear(
          ReadStacked(files, {Weight::kQuery, Weight::kKey, Weight::kValue}, layer),
          files.shape().qkv_bias
              ? ReadStacked(files, {Weight::kQueryBias, Weight::kKeyBias, Weight::kValueBias}, layer)
              : at::Tensor(),
          arithmetic)),
      out_(MakeLinear(Read(files, Weight::kAttentionOut, layer), at::Tensor(), arithmetic)) {}

at::Tensor Attention::Attend(const at::Tensor& q, const StepRows::Share& share,
                             const at::Tensor& mask) const {
  const int64_t tokens = q.size(0);
  const int64_t group = heads_ / kv_heads_;  // query heads that share one key-value head
  const int length = share.cache->held() + static_cast<int>(tokens);
  const at::Tensor k = share.cache->Keys(layer_, length);    // [kv_heads, length, head_dim]
  const at::Tensor v = share.cache->Values(layer_, length);  // [kv_heads, length, head_dim]

  // [tokens, heads, head_dim] -> [kv_heads, group * tokens, head_dim]
  const at::Tensor grouped = q.transpose(0, 1).reshape({kv_heads_, group * tokens, head_dim_});
  at::Tensor scores = at::matmul(grouped, k.transpose(1, 2));  // [kv_heads, group * tokens, length]
  scores.mul_(1 / std::sqrt(static_cast<double>(head_dim_)));
  if (mask.defined()) scores.view({heads_, tokens, length}).add_(mask);
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), v);  // [kv_heads, group * tokens, head_dim]
  return mixed.view({heads_, tokens, head_dim_}).transpose(0, 1).reshape({tokens, heads_ * head_dim_});
}

at::Tensor Attention::Forward(const at::Tensor& x, const StepRows& rows) const {
  const int64_t total = x.size(0);
  const at::Tensor qkv =
      qkv_->Forward(x).view({total, heads_ + 2 * kv_heads_, head_dim_});  // queries, keys, values by head
  const at::Tensor qk = Rotate(qkv.narrow(1, 0, heads_ + kv_heads_), rows.cos, rows.sin);
  const at::Tensor q = qk.narrow(1, 0, heads_);                       // [rows, heads, head_dim]
  const at::Tensor k = qk.narrow(1, heads_, kv_heads_);               // [rows, kv_heads, head_dim]
  const at::Tensor v = qkv.narrow(1, heads_ + kv_heads_, kv_heads_);  // [rows, kv_heads, head_dim]

  std::vector<at::Tensor> mixed;
  mixed.reserve(rows.shares.size());
  for (size_t i = 0; i < rows.shares.size(); ++i) {
    const StepRows::Share& share = rows.shares[i];
    share.cache->Write(layer_, k.narrow(0, share.first, share.tokens),
                       v.narrow(0, share.first, share.tokens));
    mixed.push_back(Attend(q.narrow(0, share.first, share.tokens), share, rows.masks[i]));
  }
  return out_->Forward(mixed.size() == 1 ? mixed[0] : at::cat(mixed, 0));
}

FeedForward::FeedForward(const LanguageModelFiles& files, int layer, Arithmetic arithmetic)
    : ffn_(files.shape().ffn),
      gate_up_(MakeLinear(ReadStacked(files, {Weight::kGate, Weight::kUp}, layer), at::Tensor(), arithmetic)),
      down_(MakeLinear(Read(files, Weight::kDown, layer), at::Tensor(), arithmetic)) {}

at::Tensor FeedForward::Forward(const at::Tensor& x) const {
  const at::Tensor gate_up = gate_up_->Forward(x);  // [rows, 2 * ffn]
  return down_->Forward(at::silu(gate_up.narrow(1, 0, ffn_)).mul_(gate_up.narrow(1, ffn_, ffn_)));
}

DecoderLayer::DecoderLayer(const LanguageModelFiles& files, int layer, Arithmetic arithmetic)
    : attention_norm{Read(files, Weight::kAttentionNorm, layer), files.shape().rms_epsilon},
      attention(files, layer, arithmetic),
      ffn_norm{Read(files, Weight::kFfnNorm, layer), files.shape().rms_epsilon},
      ffn(files, layer, arithmetic) {}

at::Tensor DecoderLayer::Forward(const at::Tensor& x, const StepRows& rows) const {
  const at::Tensor h = x + attention.Forward(attention_norm.Forward(x), rows);
  return h + ffn.Forward(ffn_norm.Forward(h));
}

Llama::Llama(std::shared_ptr<const LanguageModelFiles> files, Arithmetic arithmetic)
    : files_(std::move(files)), embedding_(files_->Find(Weight::kEmbedding)) {
  rope_frequencies_ = at::tensor(at::ArrayRef<float>(shape().rope_frequencies));
  layers_.reserve(static_cast<size_t>(shape().layers));
  for (int layer = 0; layer < shape().layers; ++layer) layers_.emplace_back(*files_, layer, arithmetic);
  norm_ = {Read(*files_, Weight::kFinalNorm, 0), shape().rms_epsilon};
  head_ = MakeLinear(Read(*files_, Weight::kHead, 0), at::Tensor(), arithmetic);
}

absl::StatusOr<std::unique_ptr<Llama>> Llama::Load(std::shared_ptr<const LanguageModelFiles> files,
                                                   Arithmetic arithmetic) {
  const c10::InferenceMode inference;
  const std::string path = files->path();
  try {
    return std::unique_ptr<Llama>(new Llama(std::move(files), arithmetic));
  } catch (const LoadError& error) {
    return absl::Status(error.status().code(), absl::StrCat(path, ": ", error.status().message()));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(path, ": ", error.what()));
  }
}

std::unique_ptr<KvCache> Llama::NewCache() const {
  return std::make_unique<KvCache>(shape().layers, shape().kv_heads, shape().head_dim);
}

absl::Status Llama::Check(absl::Span<const StepEntry> entries) const {
  for (const StepEntry& entry : entries) {
    if (entry.tokens.empty()) return absl::InvalidArgumentError("a step entry without tokens");
    const int64_t length = entry.sequence->length() + static_cast<int64_t>(entry.tokens.size());
    if (length > shape().context_tokens) {
      return absl::InvalidArgumentError(
          absl::StrCat("a sequence of ", length, " tokens; the model takes ", shape().context_tokens));
    }
    for (TokenId id : entry.tokens) {
      if (id < 0 || id >= shape().vocabulary)
        return absl::InvalidArgumentError(absl::StrCat("no token ", id));
    }
  }
  return absl::OkStatus();
}

StepRows Llama::Layout(absl::Span<StepEntry> entries) const {
  StepRows rows;
  std::vector<float> positions;
  for (const StepEntry& entry : entries) {
    auto* cache = static_cast<KvCache*>(entry.sequence);
    const int held = cache->held();
    const int tokens = static_cast<int>(entry.tokens.size());
    cache->Reserve(tokens).IgnoreError();  // it grows or throws
    rows.shares.push_back({cache, static_cast<int64_t>(positions.size()), tokens});
    for (int i = 0; i < tokens; ++i) positions.push_back(static_cast<float>(cache->length() + i));
    // Token i of the share sees what is held and tokens 0 to i.
    rows.masks.push_back(
        tokens == 1 ? at::Tensor()
                    : at::full({tokens, held + tokens}, -std::numeric_limits<float>::infinity(), at::kFloat)
                          .triu_(held + 1));
  }
  const at::Tensor angles = at::tensor(at::ArrayRef<float>(positions)).unsqueeze(1) * rope_frequencies_;
  rows.cos = angles.cos().unsqueeze(1);
  rows.sin = angles.sin().unsqueeze(1);
  return rows;
}

void Llama::Run(absl::Span<StepEntry> entries) const {
  const StepRows rows = Layout(entries);
  std::vector<TokenId> ids;
  for (const StepEntry& entry : entries) ids.insert(ids.end(), entry.tokens.begin(), entry.tokens.end());

  at::Tensor x = embedding_.Forward(ids);  // [rows, hidden]
  for (const DecoderLayer& layer : layers_) x = layer.Forward(x, rows);

  std::vector<at::Tensor> asked;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].logits == nullptr) continue;
    asked.push_back(x.narrow(0, rows.shares[i].first + rows.shares[i].tokens - 1, 1));
  }
  if (!asked.empty()) {
    const at::Tensor logits =
        head_->Forward(norm_.Forward(at::cat(asked, 0))).contiguous();  // [asked, vocabulary]
    const float* row = logits.const_data_ptr<float>();
    for (const StepEntry& entry : entries) {
      if (entry.logits == nullptr) continue;
      entry.logits->assign(row, row + shape().vocabulary);
      row += shape().vocabulary;
    }
  }
  for (const StepRows::Share& share : rows.shares) share.cache->Advance(static_cast<int>(share.tokens));
}

absl::Status Llama::Step(absl::Span<StepEntry> entries) {
  if (entries.empty()) return absl::OkStatus();
  if (absl::Status status = Check(entries); !status.ok()) return status;
  const c10::InferenceMode inference;
  try {
    Run(entries);
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("language model step: ", error.what()));
  }
}

}  // namespace parley::engine

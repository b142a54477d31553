#include "engine/torch/llama.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
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
#include "engine/model/step_entry_check.h"

namespace parley::engine::libtorch {
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

// A weight as an fp32 tensor on the device, rows in the model's order.
at::Tensor Read(const WeightSource& source, Weight weight, int layer = 0) {
  const absl::StatusOr<std::vector<float>> floats = source.files.Floats(weight, layer);
  if (!floats.ok()) throw LoadError(floats.status());
  at::Tensor tensor = at::empty(source.files.Find(weight, layer).shape, at::kFloat);
  std::memcpy(tensor.mutable_data_ptr<float>(), floats->data(), floats->size() * sizeof(float));
  return tensor.to(source.options.device);
}

// Several weights under one another, as one matrix (or one vector of biases).
at::Tensor ReadStacked(const WeightSource& source, std::initializer_list<Weight> weights, int layer) {
  std::vector<at::Tensor> parts;
  for (Weight weight : weights) parts.push_back(Read(source, weight, layer));
  return at::cat(parts, 0);
}

std::unique_ptr<const Linear> MakeLinear(const WeightSource& source, const at::Tensor& weight,
                                         const at::Tensor& bias = {}) {
  return libtorch::MakeLinear(weight, bias, source.options.arithmetic);
}

// The places of tokens as index tensors.
class PlaceList {
 public:
  void Add(int page, int slot) {
    pages_.push_back(page);
    slots_.push_back(slot);
  }
  TokenPlaces On(at::Device device) const {
    return {at::tensor(at::ArrayRef<int64_t>(pages_)).to(device),
            at::tensor(at::ArrayRef<int64_t>(slots_)).to(device)};
  }
  int64_t size() const { return static_cast<int64_t>(pages_.size()); }

 private:
  std::vector<int64_t> pages_, slots_;
};

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

Attention::Attention(const WeightSource& source, int layer)
    : layer_(layer),
      heads_(source.files.shape().heads),
      kv_heads_(source.files.shape().kv_heads),
      head_dim_(source.files.shape().head_dim),
      qkv_(MakeLinear(
          source, ReadStacked(source, {Weight::kQuery, Weight::kKey, Weight::kValue}, layer),
          source.files.shape().qkv_bias
              ? ReadStacked(source, {Weight::kQueryBias, Weight::kKeyBias, Weight::kValueBias}, layer)
              : at::Tensor())),
      out_(MakeLinear(source, Read(source, Weight::kAttentionOut, layer))) {}

at::Tensor Attention::Attend(const at::Tensor& q, const StepRows::Share& share, const KvPages& pages) const {
  const int64_t tokens = q.size(0);
  const int64_t group = heads_ / kv_heads_;  // query heads that share one key-value head
  // [seen, kv_heads, head_dim] -> [kv_heads, seen, head_dim]
  const at::Tensor k = pages.Keys(layer_, share.seen).transpose(0, 1);
  const at::Tensor v = pages.Values(layer_, share.seen).transpose(0, 1);

  // [tokens, heads, head_dim] -> [kv_heads, group * tokens, head_dim]
  const at::Tensor grouped = q.transpose(0, 1).reshape({kv_heads_, group * tokens, head_dim_});
  at::Tensor scores = at::matmul(grouped, k.transpose(1, 2));  // [kv_heads, group * tokens, seen]
  scores.mul_(1 / std::sqrt(static_cast<double>(head_dim_)));
  if (share.mask.defined()) scores.view({heads_, tokens, -1}).add_(share.mask);
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), v);  // [kv_heads, group * tokens, head_dim]
  return mixed.view({heads_, tokens, head_dim_}).transpose(0, 1).reshape({tokens, heads_ * head_dim_});
}

at::Tensor Attention::Forward(const at::Tensor& x, const StepRows& rows, KvPages& pages) const {
  const int64_t total = x.size(0);
  const at::Tensor qkv =
      qkv_->Forward(x).view({total, heads_ + 2 * kv_heads_, head_dim_});  // queries, keys, values by head
  const at::Tensor qk = Rotate(qkv.narrow(1, 0, heads_ + kv_heads_), rows.cos, rows.sin);
  const at::Tensor q = qk.narrow(1, 0, heads_);                       // [rows, heads, head_dim]
  const at::Tensor k = qk.narrow(1, heads_, kv_heads_);               // [rows, kv_heads, head_dim]
  const at::Tensor v = qkv.narrow(1, heads_ + kv_heads_, kv_heads_);  // [rows, kv_heads, head_dim]
  pages.Write(layer_, rows.places, k, v);

  std::vector<at::Tensor> mixed;
  mixed.reserve(rows.shares.size());
  for (const StepRows::Share& share : rows.shares) {
    mixed.push_back(Attend(q.narrow(0, share.first, share.tokens), share, pages));
  }
  return out_->Forward(at::cat(mixed, 0));
}

FeedForward::FeedForward(const WeightSource& source, int layer)
    : ffn_(source.files.shape().ffn),
      gate_up_(MakeLinear(source, ReadStacked(source, {Weight::kGate, Weight::kUp}, layer))),
      down_(MakeLinear(source, Read(source, Weight::kDown, layer))) {}

at::Tensor FeedForward::Forward(const at::Tensor& x) const {
  const at::Tensor gate_up = gate_up_->Forward(x);  // [rows, 2 * ffn]
  return down_->Forward(at::silu(gate_up.narrow(1, 0, ffn_)).mul_(gate_up.narrow(1, ffn_, ffn_)));
}

DecoderLayer::DecoderLayer(const WeightSource& source, int layer)
    : attention_norm{Read(source, Weight::kAttentionNorm, layer), source.files.shape().rms_epsilon},
      attention(source, layer),
      ffn_norm{Read(source, Weight::kFfnNorm, layer), source.files.shape().rms_epsilon},
      ffn(source, layer) {}

at::Tensor DecoderLayer::Forward(const at::Tensor& x, const StepRows& rows, KvPages& pages) const {
  const at::Tensor h = x + attention.Forward(attention_norm.Forward(x), rows, pages);
  return h + ffn.Forward(ffn_norm.Forward(h));
}

Llama::Llama(std::shared_ptr<const LanguageModelFiles> files, const LlamaOptions& options)
    : files_(std::move(files)),
      device_(options.device),
      pages_(shape().layers, shape().kv_heads, shape().head_dim, options.kv_bytes,
             at::TensorOptions(options.device).dtype(options.kv_type)),
      embedding_(files_->Find(Weight::kEmbedding)) {
  const WeightSource source = {*files_, options};
  rope_frequencies_ = at::tensor(at::ArrayRef<float>(shape().rope_frequencies)).to(device_);
  layers_.reserve(static_cast<size_t>(shape().layers));
  for (int layer = 0; layer < shape().layers; ++layer) layers_.emplace_back(source, layer);
  norm_ = {Read(source, Weight::kFinalNorm), shape().rms_epsilon};
  head_ = MakeLinear(source, Read(source, Weight::kHead));
}

absl::StatusOr<std::unique_ptr<Llama>> Llama::Load(std::shared_ptr<const LanguageModelFiles> files,
                                                   const LlamaOptions& options) {
  const c10::InferenceMode inference;
  const std::string path = files->path();
  if (IsInteger(options.arithmetic)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": LibTorch computes in fp32 or bf16, not in ",
                                                   ArithmeticName(options.arithmetic)));
  }
  try {
    return std::unique_ptr<Llama>(new Llama(std::move(files), options));
  } catch (const LoadError& error) {
    return absl::Status(error.status().code(), absl::StrCat(path, ": ", error.status().message()));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(path, ": ", error.what()));
  }
}

Device Llama::device() const {
  if (device_.is_cuda()) return {Device::Kind::kCuda, device_.index()};
  return {};
}

StepRows Llama::LayOut(absl::Span<const StepEntry> entries) const {
  StepRows rows;
  std::vector<float> positions;
  PlaceList places;
  for (const StepEntry& entry : entries) {
    auto* const sequence = static_cast<PagedSequence*>(entry.sequence);
    const schedule::PageTable& table = sequence->table();
    const auto tokens = static_cast<int64_t>(entry.tokens.size());
    StepRows::Share share = {sequence, static_cast<int64_t>(positions.size()), tokens};
    for (int i = 0; i < tokens; ++i) {
      const schedule::PageTable::Place place = table.Locate(table.length() + i);
      places.Add(place.page, place.slot);
      positions.push_back(static_cast<float>(table.length() + i));
    }
    PlaceList seen;
    for (const schedule::PageTable::Entry& page : table.entries()) {
      for (int slot = 0; slot < page.count; ++slot) seen.Add(page.page, slot);
    }
    share.seen = seen.On(device_);
    // Token i of the share sees what was held and tokens 0 to i.
    if (tokens > 1) {
      share.mask = at::full({tokens, seen.size()}, -std::numeric_limits<float>::infinity(), at::kFloat)
                       .triu_(seen.size() - tokens + 1)
                       .to(device_);
    }
    rows.shares.push_back(std::move(share));
  }
  rows.places = places.On(device_);
  const at::Tensor angles =
      at::tensor(at::ArrayRef<float>(positions)).to(device_).unsqueeze(1) * rope_frequencies_;
  rows.cos = angles.cos().unsqueeze(1);
  rows.sin = angles.sin().unsqueeze(1);
  return rows;
}

at::Tensor Llama::Embed(absl::Span<const StepEntry> entries) const {
  std::vector<at::Tensor> pieces;
  const auto add_tokens = [&](absl::Span<const TokenId> ids) {
    if (!ids.empty()) pieces.push_back(embedding_.Forward(ids).to(device_));
  };
  for (const StepEntry& entry : entries) {
    int next = 0;
    for (const FeatureRows& rows : entry.features) {
      add_tokens(entry.tokens.subspan(next, rows.row - next));
      const Features& features = *rows.features;
      pieces.push_back(at::from_blob(const_cast<float*>(features.values.get()),
                                     {features.rows, features.hidden}, at::TensorOptions(device_))
                           .narrow(0, rows.begin, rows.count));
      next = rows.row + rows.count;
    }
    add_tokens(entry.tokens.subspan(next));
  }
  return at::cat(pieces, 0);
}

void Llama::Run(absl::Span<const StepEntry> entries) {
  const StepRows rows = LayOut(entries);
  at::Tensor x = Embed(entries);
  for (const DecoderLayer& layer : layers_) x = layer.Forward(x, rows, pages_);
  Answer(entries, rows, x);
  for (const StepRows::Share& share : rows.shares) share.sequence->Advance(static_cast<int>(share.tokens));
}

void Llama::Answer(absl::Span<const StepEntry> entries, const StepRows& rows, const at::Tensor& x) const {
  std::vector<const RowRequest*> asked;
  std::vector<at::Tensor> states;
  for (size_t i = 0; i < entries.size(); ++i) {
    for (const RowRequest& request : entries[i].requests) {
      asked.push_back(&request);
      states.push_back(x.narrow(0, rows.shares[i].first + request.row, 1));
    }
  }
  if (asked.empty()) return;
  const at::Tensor state = norm_.Forward(at::cat(states, 0));                 // [asked, hidden]
  const at::Tensor hidden = state.to(at::kCPU).contiguous();                  // [asked, hidden]
  const at::Tensor scores = head_->Forward(state).to(at::kCPU).contiguous();  // [asked, vocabulary]
  for (size_t i = 0; i < asked.size(); ++i) {
    const float* const row = hidden.const_data_ptr<float>() + i * shape().hidden;
    if (asked[i]->hidden != nullptr) asked[i]->hidden->assign(row, row + shape().hidden);
    AnswerFromScores(*asked[i], {scores.data_ptr<float>() + i * shape().vocabulary,
                                 static_cast<size_t>(shape().vocabulary)});
  }
}

absl::Status Llama::Submit(absl::Span<const StepEntry> entries) {
  if (entries.empty()) return absl::OkStatus();
  for (const StepEntry& entry : entries) {
    if (absl::Status status = CheckEntry(entry, *this, shape().context_tokens); !status.ok()) return status;
  }
  for (const StepEntry& entry : entries) {
    const auto tokens = static_cast<int>(entry.tokens.size());
    if (absl::Status status =
            entry.sequence->Reserve(tokens, entry.page_starts, std::numeric_limits<int64_t>::max());
        !status.ok()) {
      return status;
    }
  }
  const c10::InferenceMode inference;
  try {
    Run(entries);
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("language model step: ", error.what()));
  }
}

}  // namespace parley::engine::libtorch

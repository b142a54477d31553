#include "engine/cpu/llama.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cpu/products.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/elementwise.h"

namespace parley::engine::cpu {
namespace {

using bundle::Weight;

// Rows of one sequence that one attention task takes: enough to share its keys, few enough to share out.
constexpr int kAttentionRows = 8;
// Rows of norms and of what turns them into activations that are worth a thread's while.
constexpr int kRowsOfWork = 4;

}  // namespace

absl::Status Supports(const bundle::LanguageModelShape& shape) {
  const auto refuse = [](absl::string_view what, int value, int multiple) {
    return absl::InvalidArgumentError(
        absl::StrCat("the CPU kernels need ", what, " to be a multiple of ", multiple, "; it is ", value));
  };
  if (shape.hidden % kernels::kGroup != 0) return refuse("the hidden width", shape.hidden, kernels::kGroup);
  if (shape.ffn % kernels::kGroup != 0) return refuse("the feed-forward width", shape.ffn, kernels::kGroup);
  if (shape.head_dim % 16 != 0) return refuse("the head width", shape.head_dim, 16);
  if (shape.heads * shape.head_dim % kernels::kGroup != 0) {
    return refuse("heads x head width", shape.heads * shape.head_dim, kernels::kGroup);
  }
  if (shape.head_dim > 256) return absl::InvalidArgumentError("the CPU kernels take heads of at most 256");
  return absl::OkStatus();
}

Llama::Llama(std::shared_ptr<const bundle::LanguageModelFiles> files, const LlamaOptions& options)
    : files_(std::move(files)),
      arithmetic_(options.arithmetic),
      kv_format_(options.kv_format),
      team_(options.threads),
      pool_({files_->shape().layers, files_->shape().kv_heads, files_->shape().head_dim, options.kv_format},
            options.kv_bytes),
      in_(options.arithmetic) {}

absl::StatusOr<std::unique_ptr<Llama>> Llama::Load(std::shared_ptr<const bundle::LanguageModelFiles> files,
                                                   const LlamaOptions& options) {
  if (absl::Status status = Supports(files->shape()); !status.ok()) return status;
  std::unique_ptr<Llama> llama(new Llama(std::move(files), options));
  if (absl::Status status = llama->LoadWeights(); !status.ok()) return status;
  return llama;
}

absl::Status Llama::LoadWeights() {
  absl::Status status;  // the first error
  const auto matrix = [&](Weight weight, int layer = 0) {
    absl::StatusOr<Matrix> read = ReadMatrix(*files_, weight, layer, arithmetic_);
    if (!read.ok()) {
      status.Update(read.status());
      return Matrix();
    }
    return *std::move(read);
  };
  const auto vector = [&](Weight weight, int layer = 0) {
    absl::StatusOr<std::vector<float>> floats = files_->Floats(weight, layer);
    if (!floats.ok()) {
      status.Update(floats.status());
      return std::vector<float>();
    }
    return *std::move(floats);
  };
  embedding_ = files_->Find(Weight::kEmbedding);
  final_norm_ = vector(Weight::kFinalNorm);
  head_ = matrix(Weight::kHead);
  for (int i = 0; i < shape().layers && status.ok(); ++i) {
    Layer& layer = layers_.emplace_back();
    layer.attention_norm = vector(Weight::kAttentionNorm, i);
    layer.query = matrix(Weight::kQuery, i);
    layer.key = matrix(Weight::kKey, i);
    layer.value = matrix(Weight::kValue, i);
    if (shape().qkv_bias) {
      layer.query_bias = vector(Weight::kQueryBias, i);
      layer.key_bias = vector(Weight::kKeyBias, i);
      layer.value_bias = vector(Weight::kValueBias, i);
    }
    layer.attention_out = matrix(Weight::kAttentionOut, i);
    layer.ffn_norm = vector(Weight::kFfnNorm, i);
    layer.gate = matrix(Weight::kGate, i);
    layer.up = matrix(Weight::kUp, i);
    layer.down = matrix(Weight::kDown, i);
  }
  return status;
}

absl::Status Llama::Check(absl::Span<const StepEntry> entries) const {
  for (const StepEntry& entry : entries) {
    const int64_t after = entry.sequence->length() + static_cast<int64_t>(entry.tokens.size());
    if (after > shape().context_tokens) {
      return absl::InvalidArgumentError(
          absl::StrCat("a sequence of ", after, " tokens passes the context of ", shape().context_tokens));
    }
    for (const TokenId token : entry.tokens) {
      if (token < 0 || token >= shape().vocabulary) {
        return absl::InvalidArgumentError(
            absl::StrCat("token ", token, " is outside the vocabulary of ", shape().vocabulary));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Llama::Step(absl::Span<StepEntry> entries) {
  if (absl::Status status = Check(entries); !status.ok()) return status;
  if (absl::Status status = LayOut(entries); !status.ok()) return status;
  if (rows_ == 0) return absl::OkStatus();
  Embed(entries);
  for (int i = 0; i < shape().layers; ++i) RunLayer(layers_[i], i, i == 0 ? nullptr : out_.data());
  Score(entries);
  for (const Share& share : shares_) share.sequence->Advance(share.tokens);
  return absl::OkStatus();
}

absl::Status Llama::LayOut(absl::Span<const StepEntry> entries) {
  rows_ = 0;
  shares_.clear();
  blocks_.clear();
  slots_.clear();
  pages_.clear();
  counts_.clear();
  for (const StepEntry& entry : entries) {
    auto* const sequence = static_cast<PagedSequence*>(entry.sequence);
    const int tokens = static_cast<int>(entry.tokens.size());
    // Pages that were reserved before a later entry failed stay with their sequence, for its next step.
    if (absl::Status status = sequence->Reserve(tokens, entry.page_starts); !status.ok()) return status;
    const schedule::PageTable& table = sequence->table();
    shares_.push_back({sequence, rows_, tokens, table.length(), table.held(), pages_.size()});
    for (int t = 0; t < tokens; ++t) {
      const schedule::PageTable::Place place = table.Locate(table.length() + t);
      slots_.push_back({pool_.Memory(place.page), place.slot});
    }
    for (const schedule::PageTable::Entry& page : table.entries()) {
      pages_.push_back(pool_.Memory(page.page));
      counts_.push_back(static_cast<uint8_t>(page.count));
    }
    for (int row = 0; row < tokens; row += kAttentionRows) {
      blocks_.push_back({shares_.size() - 1, row, std::min(kAttentionRows, tokens - row)});
    }
    rows_ += tokens;
  }
  return absl::OkStatus();
}

void Llama::Embed(absl::Span<const StepEntry> entries) {
  const int hidden = shape().hidden;
  const int half = shape().head_dim / 2;
  const size_t rows = rows_;
  x_.Resize(rows * hidden);
  normed_.Resize(rows * hidden);
  out_.Resize(rows * hidden);
  cosines_.Resize(rows * half);
  sines_.Resize(rows * half);
  q_.Resize(rows * shape().heads * shape().head_dim);
  attended_.Resize(q_.size());
  k_.Resize(rows * shape().kv_heads * shape().head_dim);
  v_.Resize(k_.size());
  gate_.Resize(rows * shape().ffn);
  up_.Resize(rows * shape().ffn);

  const size_t row_bytes = embedding_.bytes.size() / embedding_.shape[0];
  bundle::TensorView one = {embedding_.name, embedding_.dtype, {1, hidden}, {}};
  for (size_t e = 0; e < entries.size(); ++e) {
    for (int t = 0; t < shares_[e].tokens; ++t) {
      const int row = shares_[e].first + t;
      one.bytes = embedding_.bytes.subspan(entries[e].tokens[t] * row_bytes, row_bytes);
      // The type was read at load time; what remains is arithmetic.
      Dequantize(one, absl::MakeSpan(x_.data() + static_cast<size_t>(row) * hidden, hidden)).IgnoreError();
      const float position = static_cast<float>(shares_[e].position + t);
      for (int i = 0; i < half; ++i) {
        const float angle = position * shape().rope_frequencies[i];
        cosines_.data()[row * half + i] = std::cos(angle);
        sines_.data()[row * half + i] = std::sin(angle);
      }
    }
  }
}

void Llama::RunLayer(const Layer& layer, int index, const float* before) {
  TakeNorm(x_.data(), before, rows_, layer.attention_norm);
  Multiply(team_, in_, {{&layer.query, q_.data()}, {&layer.key, k_.data()}, {&layer.value, v_.data()}}, isa_);
  RotateAndStore(layer, index);
  Attend(index);
  const int attended = shape().heads * shape().head_dim;
  in_.Reset(rows_, attended);
  team_.For(rows_, kRowsOfWork, [&](int begin, int end) {
    for (int row = begin; row < end; ++row) {
      in_.Set(row, attended_.data() + static_cast<int64_t>(row) * attended, isa_);
    }
  });
  Multiply(team_, in_, {{&layer.attention_out, out_.data()}}, isa_);

  TakeNorm(x_.data(), out_.data(), rows_, layer.ffn_norm);
  Multiply(team_, in_, {{&layer.gate, gate_.data()}, {&layer.up, up_.data()}}, isa_);
  const int ffn = shape().ffn;
  in_.Reset(rows_, ffn);
  team_.For(rows_, kRowsOfWork, [&](int begin, int end) {
    for (int row = begin; row < end; ++row) {
      float* const gate = gate_.data() + static_cast<int64_t>(row) * ffn;
      kernels::SwiGlu(gate, up_.data() + static_cast<int64_t>(row) * ffn, ffn, gate, isa_);
      in_.Set(row, gate, isa_);
    }
  });
  Multiply(team_, in_, {{&layer.down, out_.data()}}, isa_);
}

void Llama::RotateAndStore(const Layer& layer, int index) {
  const int dim = shape().head_dim;
  const int heads = shape().heads;
  const int kv_heads = shape().kv_heads;
  team_.For(rows_, kRowsOfWork, [&](int begin, int end) {
    for (int64_t row = begin; row < end; ++row) {
      float* const q = q_.data() + row * heads * dim;
      float* const k = k_.data() + row * kv_heads * dim;
      float* const v = v_.data() + row * kv_heads * dim;
      if (!layer.query_bias.empty()) {
        kernels::Add(layer.query_bias.data(), heads * dim, q, isa_);
        kernels::Add(layer.key_bias.data(), kv_heads * dim, k, isa_);
        kernels::Add(layer.value_bias.data(), kv_heads * dim, v, isa_);
      }
      const float* const cosines = cosines_.data() + row * (dim / 2);
      const float* const sines = sines_.data() + row * (dim / 2);
      for (int h = 0; h < heads; ++h) kernels::Rotate(cosines, sines, dim, q + h * dim, isa_);
      const Slot& to = slots_[row];
      for (int h = 0; h < kv_heads; ++h) {
        kernels::Rotate(cosines, sines, dim, k + h * dim, isa_);
        kernels::WriteKeyValue(kv_format_, k + h * dim, v + h * dim, dim, to.slot,
                               to.page + pool_.Offset(index, h), isa_);
      }
    }
  });
}

void Llama::Attend(int index) {
  const int dim = shape().head_dim;
  const int heads = shape().heads;
  const int kv_heads = shape().kv_heads;
  const int group = heads / kv_heads;
  // One task: one block of one sequence's rows, one head. Those of all sequences are shared out together.
  team_.For(static_cast<int>(blocks_.size()) * kv_heads, 1, [&](int begin, int end) {
    for (int i = begin; i < end; ++i) {
      const Block& block = blocks_[i / kv_heads];
      const Share& share = shares_[block.share];
      const int head = i % kv_heads;
      const int64_t at = (static_cast<int64_t>(share.first + block.row) * heads + head * group) * dim;
      kernels::Attend({.format = kv_format_,
                       .pages = pages_.data() + share.first_page,
                       .counts = counts_.data() + share.first_page,
                       .offset = pool_.Offset(index, head),
                       .head_dim = dim,
                       .scale = 1 / std::sqrt(static_cast<float>(dim)),
                       .q = q_.data() + at,
                       .out = attended_.data() + at,
                       .rows = block.rows,
                       .group = group,
                       .row_stride = static_cast<int64_t>(heads) * dim,
                       .first_length = share.held + block.row + 1},
                      isa_);
    }
  });
}

void Llama::Score(absl::Span<StepEntry> entries) {
  const int hidden = shape().hidden;
  asking_.clear();
  for (size_t e = 0; e < entries.size(); ++e) {
    if (entries[e].logits == nullptr) continue;
    // The rows that are asked for move to the front; none is overwritten before it has moved.
    const int64_t last = static_cast<int64_t>(shares_[e].first) + shares_[e].tokens - 1;
    const int64_t to = static_cast<int64_t>(asking_.size());
    std::memmove(x_.data() + to * hidden, x_.data() + last * hidden, hidden * sizeof(float));
    std::memmove(out_.data() + to * hidden, out_.data() + last * hidden, hidden * sizeof(float));
    asking_.push_back(e);
  }
  if (asking_.empty()) return;
  const int vocabulary = shape().vocabulary;
  scores_.Resize(asking_.size() * vocabulary);
  TakeNorm(x_.data(), out_.data(), static_cast<int>(asking_.size()), final_norm_);
  Multiply(team_, in_, {{&head_, scores_.data()}}, isa_);
  team_.For(static_cast<int>(asking_.size()), 1, [&](int begin, int end) {
    for (int i = begin; i < end; ++i) {
      const float* const row = scores_.data() + static_cast<int64_t>(i) * vocabulary;
      entries[asking_[i]].logits->assign(row, row + vocabulary);
    }
  });
}

void Llama::TakeNorm(float* x, const float* add, int rows, const std::vector<float>& weight) {
  const int hidden = shape().hidden;
  in_.Reset(rows, hidden);
  team_.For(rows, kRowsOfWork, [&](int begin, int end) {
    for (int row = begin; row < end; ++row) {
      const int64_t at = static_cast<int64_t>(row) * hidden;
      if (add != nullptr) kernels::Add(add + at, hidden, x + at, isa_);
      kernels::RmsNorm(x + at, weight.data(), shape().rms_epsilon, hidden, normed_.data() + at, isa_);
      in_.Set(row, normed_.data() + at, isa_);
    }
  });
}

}  // namespace parley::engine::cpu

#include "engine/cpu/llama.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cpu/products.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/elementwise.h"
#include "engine/model/step_entry_check.h"

namespace parley::engine::cpu {
namespace {

using bundle::Weight;

// Rows of one sequence that one attention task takes: enough to share its keys, few enough to share out.
constexpr int kAttentionRows = 8;
// Rows of norms and of what turns them into activations that are worth a thread's while.
constexpr int kRowsOfWork = 4;

}  // namespace

Llama::Llama(std::shared_ptr<const bundle::LanguageModelFiles> files, const LlamaOptions& options)
    : files_(std::move(files)),
      arithmetic_(options.arithmetic),
      kv_format_(options.kv_format),
      hidden_width_(PaddedWidth::Of(shape().hidden, kernels::kGroup)),
      ffn_width_(PaddedWidth::Of(shape().ffn, kernels::kGroup)),
      hidden_(hidden_width_.padded()),
      ffn_(ffn_width_.padded()),
      head_dim_(PaddedHeadDim(shape().heads, shape().head_dim)),
      norm_epsilon_(shape().rms_epsilon * static_cast<float>(shape().hidden) / static_cast<float>(hidden_)),
      team_(options.threads),
      pool_({shape().layers, shape().kv_heads, head_dim_, options.kv_format}, options.kv_bytes),
      in_(options.arithmetic) {}

absl::StatusOr<std::unique_ptr<Llama>> Llama::Load(std::shared_ptr<const bundle::LanguageModelFiles> files,
                                                   const LlamaOptions& options) {
  if (files->shape().head_dim > kernels::kMaxHeadDim) {
    return absl::InvalidArgumentError(absl::StrCat(files->path(), ": heads of ", files->shape().head_dim,
                                                   "; the CPU kernels take at most ", kernels::kMaxHeadDim));
  }
  std::unique_ptr<Llama> llama(new Llama(std::move(files), options));
  if (absl::Status status = llama->LoadWeights(); !status.ok()) return status;
  return llama;
}

absl::Status Llama::LoadWeights() {
  absl::Status status;  // the first error
  const auto matrix = [&](Weight weight, const PaddedWidth& outputs, const PaddedWidth& inputs,
                          int layer = 0) {
    absl::StatusOr<Matrix> read = ReadMatrix(*files_, weight, layer, outputs, inputs, arithmetic_);
    if (!read.ok()) {
      status.Update(read.status());
      return Matrix();
    }
    return *std::move(read);
  };
  const auto vector = [&](Weight weight, const PaddedWidth& width, int layer = 0) {
    absl::StatusOr<std::vector<float>> floats = files_->Floats(weight, layer);
    if (!floats.ok()) {
      status.Update(floats.status());
      return std::vector<float>();
    }
    return Pad(*std::move(floats), width);
  };
  const auto norm = [&](Weight weight, int layer = 0) {
    std::vector<float> weights = vector(weight, hidden_width_, layer);
    // See norm_epsilon_.
    const float mean = std::sqrt(static_cast<float>(shape().hidden) / static_cast<float>(hidden_));
    for (float& value : weights) value *= mean;
    return weights;
  };
  const PaddedWidth queries = PaddedRotaryHeads(shape().heads, shape().head_dim, head_dim_);
  const PaddedWidth key_values = PaddedRotaryHeads(shape().kv_heads, shape().head_dim, head_dim_);
  embedding_ = files_->Find(Weight::kEmbedding);
  final_norm_ = norm(Weight::kFinalNorm);
  head_ = matrix(Weight::kHead, PaddedWidth::Of(shape().vocabulary, 1), hidden_width_);
  for (int i = 0; i < shape().layers && status.ok(); ++i) {
    Layer& layer = layers_.emplace_back();
    layer.attention_norm = norm(Weight::kAttentionNorm, i);
    layer.query = matrix(Weight::kQuery, queries, hidden_width_, i);
    layer.key = matrix(Weight::kKey, key_values, hidden_width_, i);
    layer.value = matrix(Weight::kValue, key_values, hidden_width_, i);
    if (shape().qkv_bias) {
      layer.query_bias = vector(Weight::kQueryBias, queries, i);
      layer.key_bias = vector(Weight::kKeyBias, key_values, i);
      layer.value_bias = vector(Weight::kValueBias, key_values, i);
    }
    layer.attention_out = matrix(Weight::kAttentionOut, hidden_width_, queries, i);
    layer.ffn_norm = norm(Weight::kFfnNorm, i);
    layer.gate = matrix(Weight::kGate, ffn_width_, hidden_width_, i);
    layer.up = matrix(Weight::kUp, ffn_width_, hidden_width_, i);
    layer.down = matrix(Weight::kDown, hidden_width_, ffn_width_, i);
  }
  return status;
}

absl::Status Llama::Submit(absl::Span<const StepEntry> entries) {
  if (entries.empty()) return absl::OkStatus();
  for (const StepEntry& entry : entries) {
    if (absl::Status status = CheckEntry(entry, *this, shape().context_tokens); !status.ok()) return status;
  }
  if (absl::Status status = LayOut(entries); !status.ok()) return status;
  Embed(entries);
  for (int i = 0; i < shape().layers; ++i) RunLayer(layers_[i], i, i == 0 ? nullptr : out_.data());
  Answer(entries);
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
      slots_.push_back({pool_.Address(place.page), place.slot});
    }
    for (const schedule::PageTable::Entry& page : table.entries()) {
      pages_.push_back(pool_.Address(page.page));
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
  const int half = head_dim_ / 2;
  const int turning = shape().head_dim / 2;  // the rest of a half is zeros
  const size_t rows = rows_;
  x_.Resize(rows * hidden_);
  normed_.Resize(rows * hidden_);
  out_.Resize(rows * hidden_);
  cosines_.Resize(rows * half);
  sines_.Resize(rows * half);
  q_.Resize(rows * shape().heads * head_dim_);
  attended_.Resize(q_.size());
  k_.Resize(rows * shape().kv_heads * head_dim_);
  v_.Resize(k_.size());
  gate_.Resize(rows * ffn_);
  up_.Resize(rows * ffn_);

  const size_t row_bytes = embedding_.bytes.size() / embedding_.shape[0];
  bundle::TensorView one = {embedding_.name, embedding_.dtype, {1, shape().hidden}, {}};
  for (size_t e = 0; e < entries.size(); ++e) {
    auto features = entries[e].features.begin();
    for (int t = 0; t < shares_[e].tokens; ++t) {
      const int row = shares_[e].first + t;
      float* const x = x_.data() + static_cast<size_t>(row) * hidden_;
      if (features != entries[e].features.end() && t == features->row + features->count) ++features;
      if (features != entries[e].features.end() && t >= features->row) {
        const int64_t feature = features->begin + t - features->row;
        std::copy_n(features->features->values.get() + feature * shape().hidden, shape().hidden, x);
      } else {
        one.bytes = embedding_.bytes.subspan(entries[e].tokens[t] * row_bytes, row_bytes);
        // The type was read at load time; what remains is arithmetic.
        Dequantize(one, absl::MakeSpan(x, shape().hidden)).IgnoreError();
      }
      std::fill(x + shape().hidden, x + hidden_, 0.0f);
      const float position = static_cast<float>(shares_[e].position + t);
      for (int i = 0; i < turning; ++i) {
        const float angle = position * shape().rope_frequencies[i];
        cosines_.data()[row * half + i] = std::cos(angle);
        sines_.data()[row * half + i] = std::sin(angle);
      }
      std::fill(cosines_.data() + row * half + turning, cosines_.data() + (row + 1) * half, 0.0f);
      std::fill(sines_.data() + row * half + turning, sines_.data() + (row + 1) * half, 0.0f);
    }
  }
}

void Llama::RunLayer(const Layer& layer, int index, const float* before) {
  TakeNorm(x_.data(), before, rows_, layer.attention_norm);
  Multiply(team_, in_, {{&layer.query, q_.data()}, {&layer.key, k_.data()}, {&layer.value, v_.data()}}, isa_);
  RotateAndStore(layer, index);
  Attend(index);
  const int attended = shape().heads * head_dim_;
  in_.Reset(rows_, attended);
  team_.For(rows_, kRowsOfWork, [&](int begin, int end) {
    for (int row = begin; row < end; ++row) {
      in_.Set(row, attended_.data() + static_cast<int64_t>(row) * attended, isa_);
    }
  });
  Multiply(team_, in_, {{&layer.attention_out, out_.data()}}, isa_);

  TakeNorm(x_.data(), out_.data(), rows_, layer.ffn_norm);
  Multiply(team_, in_, {{&layer.gate, gate_.data()}, {&layer.up, up_.data()}}, isa_);
  in_.Reset(rows_, ffn_);
  team_.For(rows_, kRowsOfWork, [&](int begin, int end) {
    for (int row = begin; row < end; ++row) {
      float* const gate = gate_.data() + static_cast<int64_t>(row) * ffn_;
      kernels::SwiGlu(gate, up_.data() + static_cast<int64_t>(row) * ffn_, ffn_, gate, isa_);
      in_.Set(row, gate, isa_);
    }
  });
  Multiply(team_, in_, {{&layer.down, out_.data()}}, isa_);
}

void Llama::RotateAndStore(const Layer& layer, int index) {
  const int dim = head_dim_;
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
  const int dim = head_dim_;
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
                       .scale = 1 / std::sqrt(static_cast<float>(shape().head_dim)),
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

void Llama::Answer(absl::Span<const StepEntry> entries) {
  asked_.clear();
  bool wants_scores = false;
  for (size_t e = 0; e < entries.size(); ++e) {
    for (const RowRequest& request : entries[e].requests) {
      // The rows that are asked for move to the front; none is overwritten before it has moved.
      const int64_t from = static_cast<int64_t>(shares_[e].first) + request.row;
      const int64_t to = static_cast<int64_t>(asked_.size());
      std::memmove(x_.data() + to * hidden_, x_.data() + from * hidden_, hidden_ * sizeof(float));
      std::memmove(out_.data() + to * hidden_, out_.data() + from * hidden_, hidden_ * sizeof(float));
      asked_.push_back(&request);
      wants_scores |= request.wants_scores();
    }
  }
  if (asked_.empty()) return;
  const int vocabulary = shape().vocabulary;
  TakeNorm(x_.data(), out_.data(), static_cast<int>(asked_.size()), final_norm_);
  if (wants_scores) {
    scores_.Resize(asked_.size() * vocabulary);
    Multiply(team_, in_, {{&head_, scores_.data()}}, isa_);
  }
  team_.For(static_cast<int>(asked_.size()), 1, [&](int begin, int end) {
    for (int64_t i = begin; i < end; ++i) {
      const RowRequest& request = *asked_[i];
      const float* const state = normed_.data() + i * hidden_;
      if (request.hidden != nullptr) request.hidden->assign(state, state + shape().hidden);
      if (request.wants_scores())
        AnswerFromScores(request, absl::MakeSpan(scores_.data() + i * vocabulary, vocabulary));
    }
  });
}

void Llama::TakeNorm(float* x, const float* add, int rows, const std::vector<float>& weight) {
  in_.Reset(rows, hidden_);
  team_.For(rows, kRowsOfWork, [&](int begin, int end) {
    for (int row = begin; row < end; ++row) {
      const int64_t at = static_cast<int64_t>(row) * hidden_;
      if (add != nullptr) kernels::Add(add + at, hidden_, x + at, isa_);
      kernels::RmsNorm(x + at, weight.data(), norm_epsilon_, hidden_, normed_.data() + at, isa_);
      in_.Set(row, normed_.data() + at, isa_);
    }
  });
}

}  // namespace parley::engine::cpu

// The decoder-only transformer of Llama (arXiv 2302.13971) and Qwen2 (arXiv 2407.10671): RMSNorm, rotary
// positions, grouped-query attention, SwiGLU.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/bundle/language_model_files.h"
#include "engine/model/language_model.h"
#include "engine/torch/kv_cache.h"
#include "engine/torch/linear.h"

namespace parley::engine {

// Token rows read from the mapped file as they are needed: exact, and no second copy of the largest matrix.
class Embedding {
 public:
  explicit Embedding(bundle::TensorView table) : table_(std::move(table)) {}
  // [ids] -> [ids, hidden] fp32. REQUIRES: ids within the vocabulary.
  at::Tensor Forward(absl::Span<const TokenId> ids) const;

 private:
  bundle::TensorView table_;  // [vocabulary, hidden]
};

struct RmsNorm {
  at::Tensor weight;  // [hidden]
  double epsilon = 0;
  at::Tensor Forward(const at::Tensor& x) const;  // [rows, hidden] -> same
};

// Where the rows of a step belong: rows [first, first + tokens) are one sequence's next tokens.
struct StepRows {
  struct Share {
    KvCache* cache = nullptr;
    int64_t first = 0;
    int64_t tokens = 0;
  };
  std::vector<Share> shares;
  at::Tensor cos;  // [rows, 1, head_dim / 2]
  at::Tensor sin;  // [rows, 1, head_dim / 2]
  std::vector<at::Tensor>
      masks;  // by share: [tokens, held + tokens] added to the scores; undefined for one token
};

class Attention {
 public:
  Attention(const bundle::LanguageModelFiles& files, int layer, Arithmetic arithmetic);
  // [rows, hidden] -> [rows, hidden]; writes keys and values into each share's cache.
  at::Tensor Forward(const at::Tensor& x, const StepRows& rows) const;

 private:
  // One sequence: q [tokens, heads, head_dim] over its cache -> [tokens, heads * head_dim].
  at::Tensor Attend(const at::Tensor& q, const StepRows::Share& share, const at::Tensor& mask) const;

  int layer_;
  int64_t heads_;
  int64_t kv_heads_;
  int64_t head_dim_;
  std::unique_ptr<const Linear> qkv_;  // hidden -> (heads + 2 * kv_heads) * head_dim
  std::unique_ptr<const Linear> out_;  // heads * head_dim -> hidden
};

class FeedForward {
 public:
  FeedForward(const bundle::LanguageModelFiles& files, int layer, Arithmetic arithmetic);
  at::Tensor Forward(const at::Tensor& x) const;  // [rows, hidden] -> same

 private:
  int64_t ffn_;
  std::unique_ptr<const Linear> gate_up_;  // hidden -> 2 * ffn
  std::unique_ptr<const Linear> down_;     // ffn -> hidden
};

struct DecoderLayer {
  DecoderLayer(const bundle::LanguageModelFiles& files, int layer, Arithmetic arithmetic);
  at::Tensor Forward(const at::Tensor& x, const StepRows& rows) const;  // [rows, hidden] -> same

  RmsNorm attention_norm;
  Attention attention;
  RmsNorm ffn_norm;
  FeedForward ffn;
};

// Weights are immutable; Step is called by one thread at a time, the only one that calls ATen.
class Llama final : public LanguageModel {
 public:
  // `files` is kept: the embedding is read from it. Errors name the file.
  static absl::StatusOr<std::unique_ptr<Llama>> Load(std::shared_ptr<const bundle::LanguageModelFiles> files,
                                                     Arithmetic arithmetic);

  const bundle::LanguageModelShape& shape() const { return files_->shape(); }
  std::unique_ptr<KvCache> NewCache() const;

  int vocabulary() const override { return shape().vocabulary; }
  absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() override { return NewCache(); }
  // Every sequence is a KvCache of this model. INVALID_ARGUMENT for a token outside the
  // vocabulary or a sequence that would pass the context; an error leaves every sequence at its length.
  absl::Status Step(absl::Span<StepEntry> entries) override;

 private:
  Llama(std::shared_ptr<const bundle::LanguageModelFiles> files, Arithmetic arithmetic);
  absl::Status Check(absl::Span<const StepEntry> entries) const;
  void Run(absl::Span<StepEntry> entries) const;
  StepRows Layout(absl::Span<StepEntry> entries) const;

  std::shared_ptr<const bundle::LanguageModelFiles> files_;
  Embedding embedding_;
  at::Tensor rope_frequencies_;  // [head_dim / 2]
  std::vector<DecoderLayer> layers_;
  RmsNorm norm_;
  std::unique_ptr<const Linear> head_;  // hidden -> vocabulary
};

}  // namespace parley::engine

// The decoder-only transformer of Llama (arXiv 2302.13971) and Qwen2 (arXiv 2407.10671) in LibTorch's
// operations, to be read beside the papers: RMSNorm, rotary positions, grouped-query attention, SwiGLU. It
// runs on any of LibTorch's devices. On the CPU it is what engine/cpu/llama.h is tested against.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/bundle/language_model_files.h"
#include "engine/model/language_model.h"
#include "engine/model/paged_sequence.h"
#include "engine/torch/kv_pages.h"
#include "engine/torch/linear.h"

namespace parley::engine::libtorch {

struct LlamaOptions {
  at::Device device = at::kCPU;
  Arithmetic arithmetic = Arithmetic::kFp32;  // or kBf16: weights and the activations they multiply
  int64_t kv_bytes = int64_t{256} << 20;      // all conversations together
  at::ScalarType kv_type = at::kFloat;        // or kHalf, kBFloat16
};

// Token rows read from the mapped file as they are needed: exact, and no second copy of the largest matrix.
class Embedding {
 public:
  explicit Embedding(bundle::TensorView table) : table_(std::move(table)) {}
  // [ids] -> [ids, hidden] fp32 on the CPU. REQUIRES: ids within the vocabulary.
  at::Tensor Forward(absl::Span<const TokenId> ids) const;

 private:
  bundle::TensorView table_;  // [vocabulary, hidden]
};

struct RmsNorm {
  at::Tensor weight;  // [hidden]
  double epsilon = 0;
  at::Tensor Forward(const at::Tensor& x) const;  // [rows, hidden] -> same
};

// A step's rows: those of one sequence after those of another.
struct StepRows {
  // Rows [first, first + tokens) are one sequence's next tokens.
  struct Share {
    PagedSequence* sequence = nullptr;
    int64_t first = 0;
    int64_t tokens = 0;
    TokenPlaces seen;  // of all that the last of them attends to, in order of position
    at::Tensor mask;   // [tokens, seen], added to the scores; undefined for one token
  };
  std::vector<Share> shares;
  TokenPlaces places;  // where the rows' own keys and values go
  at::Tensor cos;      // [rows, 1, head_dim / 2]
  at::Tensor sin;      // [rows, 1, head_dim / 2]
};

// Reads the weights of one model, in fp32, onto a device.
struct WeightSource {
  const bundle::LanguageModelFiles& files;
  const LlamaOptions& options;
};

class Attention {
 public:
  Attention(const WeightSource& source, int layer);
  // [rows, hidden] -> [rows, hidden]; writes the rows' keys and values.
  at::Tensor Forward(const at::Tensor& x, const StepRows& rows, KvPages& pages) const;

 private:
  // One sequence: q [tokens, heads, head_dim] -> [tokens, heads * head_dim].
  at::Tensor Attend(const at::Tensor& q, const StepRows::Share& share, const KvPages& pages) const;

  int layer_;
  int64_t heads_;
  int64_t kv_heads_;
  int64_t head_dim_;
  std::unique_ptr<const Linear> qkv_;  // hidden -> (heads + 2 * kv_heads) * head_dim
  std::unique_ptr<const Linear> out_;  // heads * head_dim -> hidden
};

class FeedForward {
 public:
  FeedForward(const WeightSource& source, int layer);
  at::Tensor Forward(const at::Tensor& x) const;  // [rows, hidden] -> same

 private:
  int64_t ffn_;
  std::unique_ptr<const Linear> gate_up_;  // hidden -> 2 * ffn
  std::unique_ptr<const Linear> down_;     // ffn -> hidden
};

struct DecoderLayer {
  DecoderLayer(const WeightSource& source, int layer);
  at::Tensor Forward(const at::Tensor& x, const StepRows& rows,
                     KvPages& pages) const;  // [rows, hidden] -> same

  RmsNorm attention_norm;
  Attention attention;
  RmsNorm ffn_norm;
  FeedForward ffn;
};

// Weights are immutable. Its one caller is the only thread that calls ATen. Rows of a step share matrix
// products, whose last bits depend on how many rows there are.
class Llama final : public LanguageModel {
 public:
  // `files` is kept: the embedding is read from it. Errors name the file. INVALID_ARGUMENT: an arithmetic
  // that LibTorch does not have here.
  static absl::StatusOr<std::unique_ptr<Llama>> Load(std::shared_ptr<const bundle::LanguageModelFiles> files,
                                                     const LlamaOptions& options);

  const bundle::LanguageModelShape& shape() const { return files_->shape(); }
  std::unique_ptr<PagedSequence> NewPagedSequence() {
    return std::make_unique<PagedSequence>(pages_.pages(), &pages_);
  }

  int vocabulary() const override { return shape().vocabulary; }
  int hidden() const override { return shape().hidden; }
  Device device() const override;
  absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() override { return NewPagedSequence(); }
  // Every sequence is a PagedSequence of this model.
  absl::Status Submit(absl::Span<const StepEntry> entries) override;
  absl::Status Complete() override { return absl::OkStatus(); }  // Submit has waited for the device
  schedule::PageStats pages() const override { return pages_.stats(); }
  int64_t page_bytes() const override { return pages_.page_bytes(); }

 private:
  Llama(std::shared_ptr<const bundle::LanguageModelFiles> files, const LlamaOptions& options);
  StepRows LayOut(absl::Span<const StepEntry> entries) const;
  // [rows, hidden], on the device.
  at::Tensor Embed(absl::Span<const StepEntry> entries) const;
  void Run(absl::Span<const StepEntry> entries);
  // `x`: [rows, hidden], what the last layer gives.
  void Answer(absl::Span<const StepEntry> entries, const StepRows& rows, const at::Tensor& x) const;

  const std::shared_ptr<const bundle::LanguageModelFiles> files_;
  const at::Device device_;
  KvPages pages_;
  Embedding embedding_;
  at::Tensor rope_frequencies_;  // [head_dim / 2]
  std::vector<DecoderLayer> layers_;
  RmsNorm norm_;
  std::unique_ptr<const Linear> head_;  // hidden -> vocabulary
};

}  // namespace parley::engine::libtorch

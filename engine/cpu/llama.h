// The decoder-only transformer of Llama and Qwen2 on our own CPU kernels: linear layers in any arithmetic,
// attention over pages, nothing of LibTorch. engine/torch/llama.h is the same model in plain tensor
// operations.
//
// Every shape runs: widths that the kernels do not take as they are get padded (padded_width.h).
//
// A row's scores are the same bit for bit whatever other rows share its step, with however many threads:
// prefill in pieces equals prefill at once, and an answer does not depend on load.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/bundle/language_model_files.h"
#include "engine/cpu/activations.h"
#include "engine/cpu/kv_pages.h"
#include "engine/cpu/matrix.h"
#include "engine/cpu/padded_width.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/thread_team.h"
#include "engine/model/arithmetic.h"
#include "engine/model/language_model.h"
#include "engine/model/paged_sequence.h"

namespace parley::engine::cpu {

struct LlamaOptions {
  int threads = 1;
  Arithmetic arithmetic = Arithmetic::kInt16;
  int64_t kv_bytes = int64_t{2} << 30;  // all conversations together
  kernels::KvFormat kv_format = kernels::KvFormat::kFp16;
};

class Llama final : public LanguageModel {
 public:
  // `files` is kept: the embedding is read from it. Errors name the file. INVALID_ARGUMENT: heads wider than
  // the kernels take.
  static absl::StatusOr<std::unique_ptr<Llama>> Load(std::shared_ptr<const bundle::LanguageModelFiles> files,
                                                     const LlamaOptions& options);

  const bundle::LanguageModelShape& shape() const { return files_->shape(); }
  std::unique_ptr<PagedSequence> NewPagedSequence() {
    return std::make_unique<PagedSequence>(pool_.pages(), &pool_);
  }

  int vocabulary() const override { return shape().vocabulary; }
  int hidden() const override { return shape().hidden; }
  absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() override { return NewPagedSequence(); }
  // Every sequence is a PagedSequence of this model.
  absl::Status Submit(absl::Span<const StepEntry> entries) override;
  absl::Status Complete() override { return absl::OkStatus(); }  // Submit has done it
  schedule::PageStats pages() const override { return pool_.stats(); }
  int64_t page_bytes() const override { return pool_.page_bytes(); }

 private:
  struct Layer {
    std::vector<float> attention_norm;  // [hidden]
    Matrix query, key, value;
    std::vector<float> query_bias, key_bias, value_bias;  // empty without
    Matrix attention_out;
    std::vector<float> ffn_norm;  // [hidden]
    Matrix gate, up, down;
  };
  // One sequence's rows of a step: [first, first + tokens), at the positions from `position` on.
  struct Share {
    PagedSequence* sequence;
    int first;
    int tokens;
    int position;
    int held;           // tokens before them
    size_t first_page;  // of the sequence's pages, in pages_ and counts_
  };
  // Rows of a share that attend together: [row, row + rows) of it.
  struct Block {
    size_t share;
    int row;
    int rows;
  };
  // Where a row's keys and values go.
  struct Slot {
    uint8_t* page;
    int slot;
  };
  using Buffer = kernels::AlignedBuffer<float>;

  Llama(std::shared_ptr<const bundle::LanguageModelFiles> files, const LlamaOptions& options);
  absl::Status LoadWeights();
  absl::Status LayOut(absl::Span<const StepEntry> entries);

  void Embed(absl::Span<const StepEntry> entries);
  // `before`: what the layer before it adds to x_, null for the first.
  void RunLayer(const Layer& layer, int index, const float* before);
  void RotateAndStore(const Layer& layer, int index);
  void Attend(int index);
  void Answer(absl::Span<const StepEntry> entries);
  // For each row of `x`: adds its row of `add` (unless null) to it, and takes its RMSNorm for the next
  // product.
  void TakeNorm(float* x, const float* add, int rows, const std::vector<float>& weight);

  const std::shared_ptr<const bundle::LanguageModelFiles> files_;
  const Arithmetic arithmetic_;
  const kernels::KvFormat kv_format_;
  const kernels::Isa isa_ = kernels::DetectIsa();
  const PaddedWidth hidden_width_;
  const PaddedWidth ffn_width_;
  // As the buffers and the kernels have them.
  const int hidden_;
  const int ffn_;
  const int head_dim_;
  // Gives a mean over padded values that of the values alone.
  const float norm_epsilon_;
  kernels::ThreadTeam team_;
  KvPagePool pool_;

  bundle::TensorView embedding_;
  std::vector<Layer> layers_;
  std::vector<float> final_norm_;
  Matrix head_;

  // Of the step under way; they grow to the largest step and stay.
  int rows_ = 0;
  std::vector<Share> shares_;
  std::vector<Block> blocks_;             // of all shares
  std::vector<const RowRequest*> asked_;  // of all entries, in order
  std::vector<Slot> slots_;               // by row
  std::vector<const uint8_t*> pages_;     // of all shares, in order of position
  std::vector<uint8_t> counts_;           // tokens in each
  Buffer x_;                              // [rows, hidden]
  Buffer normed_;                         // [rows, hidden]
  Buffer cosines_;                        // [rows, head_dim / 2]
  Buffer sines_;                          // [rows, head_dim / 2]
  Buffer q_;                              // [rows, heads * head_dim]
  Buffer k_;                              // [rows, kv_heads * head_dim]
  Buffer v_;                              // [rows, kv_heads * head_dim]
  Buffer attended_;                       // [rows, heads * head_dim]
  Buffer gate_;                           // [rows, ffn]
  Buffer up_;                             // [rows, ffn]
  Buffer out_;                            // [rows, hidden]
  Buffer scores_;                         // [rows asked for, vocabulary]
  Activations in_;                        // of the next product
};

}  // namespace parley::engine::cpu

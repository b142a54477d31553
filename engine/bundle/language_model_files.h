// A language model on disk, GGUF or Hugging Face safetensors, under one set of names.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/bundle/gguf.h"
#include "engine/bundle/manifest.h"
#include "engine/bundle/safetensors.h"
#include "engine/bundle/tensor.h"

namespace parley::engine::bundle {

// Llama family (also under Baichuan's name, with Q, K and V packed in one matrix) and Qwen2.
struct LanguageModelShape {
  std::string name;          // for people
  std::string architecture;  // "llama", "qwen2", "baichuan"
  int layers = 0;
  int hidden = 0;
  int ffn = 0;
  int heads = 0;     // of queries
  int kv_heads = 0;  // heads is a multiple
  int head_dim = 0;
  int vocabulary = 0;
  int context_tokens = 0;
  float rms_epsilon = 0;
  bool qkv_bias = false;
  bool tied_head = false;               // the output projection is the embedding
  std::vector<float> rope_frequencies;  // [head_dim / 2] radians a position; scaling is in them
};

// `Weight`s of a layer, and those that stand outside the layers. Matrices are [outputs, inputs].
enum class Weight {
  kEmbedding,      // [vocabulary, hidden]
  kFinalNorm,      // [hidden]
  kHead,           // [vocabulary, hidden]; the embedding where tied
  kAttentionNorm,  // [hidden]
  kQuery,          // [heads * head_dim, hidden]
  kKey,            // [kv_heads * head_dim, hidden]
  kValue,          // [kv_heads * head_dim, hidden]
  kQueryBias,      // [heads * head_dim]
  kKeyBias,        // [kv_heads * head_dim]
  kValueBias,      // [kv_heads * head_dim]
  kAttentionOut,   // [hidden, heads * head_dim]
  kFfnNorm,        // [hidden]
  kGate,           // [ffn, hidden]
  kUp,             // [ffn, hidden]
  kDown,           // [hidden, ffn]
};

// Immutable, thread-safe; its views live as long as it does. Every weight's presence, shape and type was
// checked when it was opened. Errors name file and reason; UNIMPLEMENTED for what the file asks that is not
// supported (another architecture, experts, another rotary scaling, another element type).
class LanguageModelFiles {
 public:
  static absl::StatusOr<LanguageModelFiles> Open(const BundleManifest::Part& part);
  static absl::StatusOr<LanguageModelFiles> FromGguf(std::shared_ptr<const Gguf> gguf);
  // A folder with config.json and model.safetensors or its shards.
  static absl::StatusOr<LanguageModelFiles> OpenFolder(const std::string& folder);

  const LanguageModelShape& shape() const { return shape_; }
  // Where it lies: the GGUF file or the folder.
  const std::string& path() const { return path_; }
  // Null when the model is a folder. Holds the tokenizer too.
  const std::shared_ptr<const Gguf>& gguf() const { return gguf_; }

  // The weight as it lies in the file. `layer` is ignored for those outside the layers. REQUIRES: the biases
  // only with shape().qkv_bias.
  TensorView Find(Weight weight, int layer = 0) const;
  // For each row of a weight as the model wants it, the row in the file; empty: as they lie. A rotary pair is
  // (i, i + head_dim / 2) in the model and in Hugging Face's files, and (2i, 2i + 1) in a Llama GGUF.
  std::vector<int64_t> RowOrder(Weight weight) const;
  // The weight as floats, rows in the model's order. DATA_LOSS never: what is read was checked.
  absl::StatusOr<std::vector<float>> Floats(Weight weight, int layer = 0) const;

 private:
  LanguageModelFiles() = default;
  absl::StatusOr<TensorView> Lookup(Weight weight, int layer) const;
  absl::Status Check() const;
  // Rows of `weight` within the packed QKV matrix or bias.
  TensorView PackedRows(const TensorView& packed, Weight weight) const;

  LanguageModelShape shape_;
  std::string path_;
  std::shared_ptr<const Gguf> gguf_;
  std::shared_ptr<const Safetensors> safetensors_;
  bool interleaved_pairs_ = false;
  bool packed_qkv_ = false;
};

}  // namespace parley::engine::bundle

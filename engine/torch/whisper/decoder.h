// Whisper's decoder: a causal transformer over the tokens, with cross attention to the encoded audio.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "engine/text/token.h"
#include "engine/torch/linear.h"
#include "engine/torch/weights.h"
#include "engine/torch/whisper/encoder.h"
#include "engine/whisper/config.h"

namespace parley::engine::whisper {

// Immutable; used by the model thread only. Torch exceptions pass through.
class Decoder {
 public:
  // The keys and values of one window of audio and of the tokens so far.
  struct Cache {
    struct Layer {
      at::Tensor keys, values;              // [heads, max_positions, head_dim]; `length` of them hold
      at::Tensor audio_keys, audio_values;  // [1, heads, audio positions, head_dim]
      at::Tensor queries;                   // of the audio: as keys
    };
    std::vector<Layer> layers;
    int64_t length = 0;
  };

  Decoder(WeightReader* reader, const Config& config, Arithmetic arithmetic);

  int max_positions() const { return static_cast<int>(positions_.size(0)); }
  // audio: [audio positions, width], from Encoder::End.
  Cache Begin(const at::Tensor& audio) const;
  // Runs tokens after those in the cache: [tokens, width]. REQUIRES: they fit max_positions(), and there is
  // one token unless the cache is empty.
  at::Tensor Step(Cache* cache, absl::Span<const TokenId> tokens) const;
  // Scores of the token after each row: [rows, width] -> [rows, vocabulary].
  at::Tensor Logits(const at::Tensor& rows) const;
  // See Networks::Alignment: [tokens, audio positions].
  at::Tensor Align(const Cache& cache, int64_t first, int64_t tokens) const;

 private:
  struct Layer {
    LayerNorm self_norm;
    std::unique_ptr<const Linear> qkv, self_out;
    LayerNorm cross_norm;
    std::unique_ptr<const Linear> cross_q, cross_kv, cross_out;
    LayerNorm ffn_norm;
    std::unique_ptr<const Linear> up, down;
  };

  at::Tensor SelfAttention(const Layer& layer, const at::Tensor& x, Cache::Layer* cache,
                           int64_t length) const;
  at::Tensor CrossAttention(const Layer& layer, const at::Tensor& x, Cache::Layer* cache,
                            int64_t length) const;

  int heads_;
  int64_t width_;
  std::vector<AttentionHead> alignment_heads_;
  at::Tensor embedding_;  // [vocabulary, width]
  at::Tensor positions_;  // [max_positions, width]
  std::vector<Layer> layers_;
  LayerNorm norm_;
  std::unique_ptr<const Linear> head_;  // tied to the embedding
};

}  // namespace parley::engine::whisper

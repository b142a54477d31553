// Whisper's decoder on our own kernels: a causal transformer over the tokens, with cross attention to the
// encoded audio. Several windows take a step together: their weights are read once.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "engine/cpu/whisper/key_values.h"
#include "engine/cpu/whisper/layer_runner.h"
#include "engine/cpu/whisper/layers.h"
#include "engine/kernels/float_linear.h"
#include "engine/text/token.h"
#include "engine/whisper/config.h"

namespace parley::engine::cpu {

// One thread at a time.
class WhisperDecoder {
 public:
  // What it keeps of one window.
  struct Cache {
    KeyValues audio;
    KeyValues said;  // by the tokens so far
    // Of the alignment heads:
    std::vector<kernels::FloatLinear> keys;  // [positions, head_dim] each
    std::vector<float> queries;              // [tokens, alignment heads, head_dim]
  };
  // Tokens of one window; see whisper::Networks::Entry.
  struct Entry {
    Cache* cache;
    absl::Span<const TokenId> tokens;
    std::vector<float>* after_first;
    std::vector<float>* after_last;
    int scored;
  };

  WhisperDecoder(LayerReader* reader, const whisper::Config& config, LayerRunner* runner);

  // audio: [positions, width], the encoder's output.
  Cache Begin(int positions, const float* audio);
  // See whisper::Networks::Alignment.
  std::vector<float> Align(const Cache& cache, int first, int tokens);
  // A row's scores are the same bit for bit whatever other rows share its step.
  void Step(absl::Span<const Entry> entries);

 private:
  struct LayerWeights {
    AttentionLayer self;
    AttentionLayer cross;
    FeedForwardLayer feed_forward;
  };
  // Rows whose scores go to one place.
  struct Wanted {
    int row;
    int rows;
    std::vector<float>* scores;
  };

  // What Align needs of a layer.
  void KeepKeys(int layer, int positions, Cache* cache);
  void KeepQueries(int layer, absl::Span<const Entry> entries);
  void Embed(absl::Span<const Entry> entries);
  void SelfAttention(const LayerWeights& layer, int index, absl::Span<const Entry> entries);
  void CrossAttention(const LayerWeights& layer, int index, absl::Span<const Entry> entries);
  // The queries in q_ attend to one side of their windows; what comes of it is added to x_.
  void Attend(const AttentionLayer& layer, KeyValues Cache::*to, int index, bool causal,
              absl::Span<const Entry> entries);
  void Score(absl::Span<const Entry> entries);

  LayerRunner* const runner_;
  const LayerWidths widths_;
  const int width_;           // as the buffers have it
  const int attended_width_;  // of all heads
  const int heads_;
  const int vocabulary_;
  const std::vector<whisper::AttentionHead> alignment_heads_;
  std::vector<float> embedding_;  // [vocabulary, width]
  std::vector<float> positions_;  // [max positions, width]
  std::vector<LayerWeights> layers_;
  Norm norm_;
  Matrix head_;  // tied to the embedding

  // Of the step under way.
  int rows_ = 0;
  std::vector<int> first_rows_;  // by entry
  std::vector<Wanted> wanted_;
  Floats x_, q_, k_, v_;  // [rows, width]
  Floats scores_;         // [wanted rows, vocabulary]
  Floats attended_;       // [alignment heads, tokens, positions]
};

}  // namespace parley::engine::cpu

#include "engine/cpu/whisper/decoder.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/kernels/elementwise.h"

namespace parley::engine::cpu {

WhisperDecoder::WhisperDecoder(LayerReader* reader, const whisper::Config& config, LayerRunner* runner)
    : runner_(runner),
      widths_(config.width, config.decoder_heads, config.decoder_ffn),
      width_(widths_.width.padded()),
      attended_width_(widths_.heads.padded()),
      heads_(config.decoder_heads),
      vocabulary_(config.vocabulary),
      alignment_heads_(config.alignment_heads) {
  const std::string decoder = "model.decoder.";
  embedding_ = reader->ReadRows(decoder + "embed_tokens.weight", vocabulary_, widths_.width);
  positions_ =
      reader->ReadRows(decoder + "embed_positions.weight", config.max_decoder_positions, widths_.width);
  for (int i = 0; i < config.decoder_layers; ++i) {
    const std::string layer = absl::StrCat(decoder, "layers.", i);
    layers_.push_back(
        {reader->ReadAttention(layer + ".self_attn", layer + ".self_attn_layer_norm", widths_),
         reader->ReadAttention(layer + ".encoder_attn", layer + ".encoder_attn_layer_norm", widths_),
         reader->ReadFeedForward(layer, widths_)});
  }
  norm_ = reader->ReadNorm(decoder + "layer_norm", widths_.width);
  head_ = reader->Pack(decoder + "embed_tokens.weight", embedding_, vocabulary_, width_);
}

WhisperDecoder::Cache WhisperDecoder::Begin(int positions, const float* audio) {
  const int layers = static_cast<int>(layers_.size());
  const auto none = [&] {
    return KeyValues(runner_->kv_format(), layers, heads_, widths_.head_dim, widths_.score_scale);
  };
  Cache cache = {none(), none()};
  cache.audio.Resize(positions);
  k_.Resize(static_cast<size_t>(positions) * attended_width_);
  v_.Resize(k_.size());
  runner_->Take(audio, positions, width_, width_);
  for (int layer = 0; layer < layers; ++layer) {
    const AttentionLayer& cross = layers_[layer].cross;
    runner_->Multiply({{&cross.key.weights, k_.data()}, {&cross.value.weights, v_.data()}});
    runner_->ForRows(positions, [&](int row) {
      const int64_t at = static_cast<int64_t>(row) * attended_width_;
      kernels::Add(cross.value.bias.data(), attended_width_, v_.data() + at, runner_->isa());
      cache.audio.Write(layer, row, k_.data() + at, v_.data() + at, runner_->isa());
    });
    KeepKeys(layer, positions, &cache);
  }
  return cache;
}

void WhisperDecoder::KeepKeys(int layer, int positions, Cache* cache) {
  const int head_dim = widths_.head_dim;
  std::vector<float> keys(static_cast<size_t>(positions) * head_dim);
  cache->keys.resize(alignment_heads_.size());
  for (size_t h = 0; h < alignment_heads_.size(); ++h) {
    const whisper::AttentionHead& head = alignment_heads_[h];
    if (head.layer != layer) continue;
    for (int i = 0; i < positions; ++i) {
      std::copy_n(k_.data() + static_cast<int64_t>(i) * attended_width_ + head.head * head_dim, head_dim,
                  keys.data() + static_cast<int64_t>(i) * head_dim);
    }
    cache->keys[h] = kernels::FloatLinear(keys, {}, positions, head_dim);
  }
}

void WhisperDecoder::KeepQueries(int layer, absl::Span<const Entry> entries) {
  const int head_dim = widths_.head_dim;
  const size_t heads = alignment_heads_.size();
  for (size_t e = 0; e < entries.size(); ++e) {
    Cache& cache = *entries[e].cache;
    const size_t tokens = entries[e].tokens.size(), first = cache.said.tokens() - tokens;
    cache.queries.resize((first + tokens) * heads * head_dim);
    for (size_t h = 0; h < heads; ++h) {
      if (alignment_heads_[h].layer != layer) continue;
      const float* from = q_.data() + static_cast<int64_t>(first_rows_[e]) * attended_width_ +
                          alignment_heads_[h].head * head_dim;
      for (size_t t = 0; t < tokens; ++t, from += attended_width_) {
        std::copy_n(from, head_dim, cache.queries.data() + ((first + t) * heads + h) * head_dim);
      }
    }
  }
}

std::vector<float> WhisperDecoder::Align(const Cache& cache, int first, int tokens) {
  const int head_dim = widths_.head_dim, positions = cache.audio.tokens();
  const auto heads = static_cast<int>(alignment_heads_.size());
  const int stride = cache.keys.front().stride();
  attended_.Resize(static_cast<size_t>(heads) * tokens * stride);
  const float scale = widths_.score_scale;
  runner_->For(heads, [&](int head) {
    float* const rows = attended_.data() + static_cast<int64_t>(head) * tokens * stride;
    const int64_t from = (static_cast<int64_t>(first) * heads + head) * head_dim;
    cache.keys[head].Apply(cache.queries.data() + from, static_cast<int64_t>(heads) * head_dim, tokens, {},
                           rows, runner_->isa());
    for (int t = 0; t < tokens; ++t) {
      float* const row = rows + static_cast<int64_t>(t) * stride;
      const float largest = *std::max_element(row, row + positions);
      float sum = 0;
      for (int i = 0; i < positions; ++i) sum += row[i] = std::exp((row[i] - largest) * scale);
      for (int i = 0; i < positions; ++i) row[i] /= sum;
    }
  });
  std::vector<float> mean(static_cast<size_t>(tokens) * positions);
  for (int head = 0; head < heads; ++head) {
    for (int t = 0; t < tokens; ++t) {
      const float* const row = attended_.data() + (static_cast<int64_t>(head) * tokens + t) * stride;
      for (int i = 0; i < positions; ++i) mean[static_cast<size_t>(t) * positions + i] += row[i] / heads;
    }
  }
  return mean;
}

void WhisperDecoder::Step(absl::Span<const Entry> entries) {
  Embed(entries);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const LayerWeights& layer = layers_[i];
    SelfAttention(layer, static_cast<int>(i), entries);
    CrossAttention(layer, static_cast<int>(i), entries);
    runner_->FeedForward(layer.feed_forward, rows_, x_.data());
  }
  Score(entries);
}

void WhisperDecoder::Embed(absl::Span<const Entry> entries) {
  rows_ = 0;
  first_rows_.clear();
  for (const Entry& entry : entries) {
    first_rows_.push_back(rows_);
    rows_ += static_cast<int>(entry.tokens.size());
  }
  x_.Resize(static_cast<size_t>(rows_) * width_);
  for (Floats* buffer : {&q_, &k_, &v_}) buffer->Resize(static_cast<size_t>(rows_) * attended_width_);
  for (size_t e = 0; e < entries.size(); ++e) {
    KeyValues& said = entries[e].cache->said;
    for (size_t t = 0; t < entries[e].tokens.size(); ++t) {
      float* const x = x_.data() + (first_rows_[e] + t) * width_;
      std::copy_n(embedding_.data() + static_cast<int64_t>(entries[e].tokens[t]) * width_, width_, x);
      kernels::Add(positions_.data() + (said.tokens() + t) * width_, width_, x, runner_->isa());
    }
    said.Resize(said.tokens() + static_cast<int>(entries[e].tokens.size()));
  }
}

void WhisperDecoder::SelfAttention(const LayerWeights& layer, int index, absl::Span<const Entry> entries) {
  const AttentionLayer& self = layer.self;
  runner_->TakeNorm(x_.data(), rows_, self.norm);
  runner_->Multiply(
      {{&self.query.weights, q_.data()}, {&self.key.weights, k_.data()}, {&self.value.weights, v_.data()}});
  for (size_t e = 0; e < entries.size(); ++e) {
    KeyValues& said = entries[e].cache->said;
    const int tokens = static_cast<int>(entries[e].tokens.size());
    for (int t = 0; t < tokens; ++t) {
      const int64_t at = static_cast<int64_t>(first_rows_[e] + t) * attended_width_;
      kernels::Add(self.query.bias.data(), attended_width_, q_.data() + at, runner_->isa());
      kernels::Add(self.value.bias.data(), attended_width_, v_.data() + at, runner_->isa());
      said.Write(index, said.tokens() - tokens + t, k_.data() + at, v_.data() + at, runner_->isa());
    }
  }
  Attend(self, &Cache::said, index, /*causal=*/true, entries);
}

void WhisperDecoder::CrossAttention(const LayerWeights& layer, int index, absl::Span<const Entry> entries) {
  const AttentionLayer& cross = layer.cross;
  runner_->TakeNorm(x_.data(), rows_, cross.norm);
  runner_->Multiply({{&cross.query.weights, q_.data()}});
  for (int row = 0; row < rows_; ++row) {
    kernels::Add(cross.query.bias.data(), attended_width_,
                 q_.data() + static_cast<int64_t>(row) * attended_width_, runner_->isa());
  }
  KeepQueries(index, entries);
  Attend(cross, &Cache::audio, index, /*causal=*/false, entries);
}

void WhisperDecoder::Attend(const AttentionLayer& layer, KeyValues Cache::*to, int index, bool causal,
                            absl::Span<const Entry> entries) {
  runner_->For(static_cast<int>(entries.size()) * heads_, [&](int i) {
    const Entry& entry = entries[i / heads_];
    const int64_t at =
        static_cast<int64_t>(first_rows_[i / heads_]) * attended_width_ + i % heads_ * widths_.head_dim;
    (entry.cache->*to)
        .Attend(index, i % heads_, causal, static_cast<int>(entry.tokens.size()), attended_width_,
                q_.data() + at, runner_->isa());
  });
  runner_->Take(q_.data(), rows_, attended_width_, attended_width_);
  runner_->AddTo(x_.data(), layer.out);
}

void WhisperDecoder::Score(absl::Span<const Entry> entries) {
  wanted_.clear();
  int count = 0;
  const auto want = [&](int row, int rows, std::vector<float>* scores) {
    if (scores == nullptr) return;
    wanted_.push_back({row, rows, scores});
    count += rows;
  };
  for (size_t e = 0; e < entries.size(); ++e) {
    const Entry& entry = entries[e];
    want(first_rows_[e], 1, entry.after_first);
    want(first_rows_[e] + static_cast<int>(entry.tokens.size()) - entry.scored, entry.scored,
         entry.after_last);
  }
  if (count == 0) return;
  q_.Resize(static_cast<size_t>(count) * width_);
  float* to = q_.data();
  for (const Wanted& wanted : wanted_) {
    to = std::copy_n(x_.data() + static_cast<int64_t>(wanted.row) * width_, wanted.rows * width_, to);
  }
  scores_.Resize(static_cast<size_t>(count) * vocabulary_);
  runner_->TakeNorm(q_.data(), count, norm_);
  runner_->Multiply({{&head_, scores_.data()}});
  const float* from = scores_.data();
  for (const Wanted& wanted : wanted_) {
    const float* const end = from + static_cast<int64_t>(wanted.rows) * vocabulary_;
    wanted.scores->assign(from, end);
    from = end;
  }
}

}  // namespace parley::engine::cpu

#include "engine/cpu/whisper/encoder.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/kernels/elementwise.h"

namespace parley::engine::cpu {
namespace {

constexpr int kTaps = 3;  // of both convolutions
constexpr int kFramesAPiece = 48;
constexpr int kRowsAtOnce = 24;  // of one attention task: whole blocks of the kernels

// A convolution as a product: the frames under its taps lie one after the other. [outputs, inputs, taps] ->
// [outputs, taps, inputs], each padded.
Dense ReadConvolution(LayerReader* reader, const std::string& name, const PaddedWidth& output_width,
                      const PaddedWidth& input_width) {
  const int inputs = input_width.size();
  const int stride = input_width.padded();
  const std::vector<float> weight = reader->Read(name + ".weight", {output_width.size(), inputs, kTaps});
  std::vector<float> rows(static_cast<size_t>(output_width.padded()) * kTaps * stride);
  for (int64_t o = 0; o < output_width.size(); ++o) {
    for (int i = 0; i < inputs; ++i) {
      for (int tap = 0; tap < kTaps; ++tap) {
        rows[(o * kTaps + tap) * stride + i] = weight[(o * inputs + i) * kTaps + tap];
      }
    }
  }
  return {reader->Pack(name, rows, output_width.padded(), kTaps * stride),
          reader->ReadRow(name + ".bias", output_width)};
}

}  // namespace

WhisperEncoder::WhisperEncoder(LayerReader* reader, const whisper::Config& config, LayerRunner* runner)
    : runner_(runner),
      widths_(config.width, config.encoder_heads, config.encoder_ffn),
      width_(widths_.width.padded()),
      attended_width_(widths_.heads.padded()),
      heads_(config.encoder_heads),
      mel_stride_(PaddedWidth::Of(config.mel_bins, kernels::kGroup).padded()),
      log_mel_(config.mel_bins),
      attended_(runner->kv_format(), /*layers=*/1, heads_, widths_.head_dim, widths_.score_scale) {
  const std::string encoder = "model.encoder.";
  conv1_ = ReadConvolution(reader, encoder + "conv1", widths_.width,
                           PaddedWidth::Of(config.mel_bins, kernels::kGroup));
  conv2_ = ReadConvolution(reader, encoder + "conv2", widths_.width, widths_.width);
  positions_ =
      reader->ReadRows(encoder + "embed_positions.weight", config.max_encoder_positions, widths_.width);
  for (int i = 0; i < config.encoder_layers; ++i) {
    const std::string layer = absl::StrCat(encoder, "layers.", i);
    layers_.push_back({reader->ReadAttention(layer + ".self_attn", layer + ".self_attn_layer_norm", widths_),
                       reader->ReadFeedForward(layer, widths_)});
  }
  norm_ = reader->ReadNorm(encoder + "layer_norm", widths_.width);
}

void WhisperEncoder::Hear(absl::Span<const float> samples, int frames) {
  mel_.Resize(static_cast<size_t>(frames + 2) * mel_stride_);
  std::fill_n(mel_.data(), mel_.size(), 0.0f);
  float* const first = mel_.data() + mel_stride_;
  const int pieces = (frames + kFramesAPiece - 1) / kFramesAPiece;
  loudest_.resize(pieces);
  const auto each = [&](auto body) {
    runner_->For(pieces, [&](int piece) {
      body(piece, piece * kFramesAPiece, std::min(frames, (piece + 1) * kFramesAPiece));
    });
  };
  each([&](int piece, int begin, int end) {
    loudest_[piece] = log_mel_.Logs(samples, begin, end, mel_stride_, first);
  });
  const float loudest = *std::max_element(loudest_.begin(), loudest_.end());
  each([&](int, int begin, int end) { log_mel_.Scale(loudest, begin, end, mel_stride_, first); });
}

int WhisperEncoder::Begin(absl::Span<const float> samples, Floats& x) {
  const int frames = LogMel::Frames(samples);
  const int positions = frames / 2;
  Hear(samples, frames);

  frames_.Resize(static_cast<size_t>(frames + 2) * width_);
  float* const first = frames_.data() + width_;
  std::fill_n(frames_.data(), width_, 0.0f);
  std::fill_n(first + static_cast<int64_t>(frames) * width_, width_, 0.0f);
  runner_->Take(mel_.data(), frames, kTaps * mel_stride_, mel_stride_);
  runner_->Multiply({{&conv1_.weights, first}});
  runner_->ForRows(frames, [&](int row) {
    float* const frame = first + static_cast<int64_t>(row) * width_;
    kernels::BiasGelu(frame, conv1_.bias.data(), width_, frame, runner_->isa());
  });

  x.Resize(static_cast<size_t>(positions) * width_);
  runner_->Take(frames_.data(), positions, kTaps * width_, 2 * width_);
  runner_->Multiply({{&conv2_.weights, x.data()}});
  runner_->ForRows(positions, [&](int row) {
    float* const position = x.data() + static_cast<int64_t>(row) * width_;
    kernels::BiasGelu(position, conv2_.bias.data(), width_, position, runner_->isa());
    kernels::Add(positions_.data() + static_cast<int64_t>(row) * width_, width_, position, runner_->isa());
  });
  return positions;
}

void WhisperEncoder::Layer(int index, int positions, float* x) {
  const AttentionLayer& attention = layers_[index].attention;
  const kernels::Isa isa = runner_->isa();
  for (Floats* buffer : {&q_, &k_, &v_}) buffer->Resize(static_cast<size_t>(positions) * attended_width_);
  runner_->TakeNorm(x, positions, attention.norm);
  runner_->Multiply({{&attention.query.weights, q_.data()},
                     {&attention.key.weights, k_.data()},
                     {&attention.value.weights, v_.data()}});
  attended_.Resize(positions);
  runner_->ForRows(positions, [&](int row) {
    const int64_t at = static_cast<int64_t>(row) * attended_width_;
    kernels::Add(attention.query.bias.data(), attended_width_, q_.data() + at, isa);
    kernels::Add(attention.value.bias.data(), attended_width_, v_.data() + at, isa);
    attended_.Write(/*layer=*/0, row, k_.data() + at, v_.data() + at, isa);
  });
  const int blocks = (positions + kRowsAtOnce - 1) / kRowsAtOnce;
  runner_->For(heads_ * blocks, [&](int i) {
    const int head = i / blocks;
    const int row = i % blocks * kRowsAtOnce;
    attended_.Attend(/*layer=*/0, head, /*causal=*/false, std::min(kRowsAtOnce, positions - row),
                     attended_width_,
                     q_.data() + static_cast<int64_t>(row) * attended_width_ + head * widths_.head_dim, isa);
  });
  runner_->Take(q_.data(), positions, attended_width_, attended_width_);
  runner_->AddTo(x, attention.out);
  runner_->FeedForward(layers_[index].feed_forward, positions, x);
}

void WhisperEncoder::End(int positions, float* x) const {
  runner_->ForRows(positions, [&](int row) {
    float* const at = x + static_cast<int64_t>(row) * width_;
    kernels::LayerNorm(at, norm_.weight.data(), norm_.bias.data(), kNormEpsilon, norm_.values, width_, at,
                       runner_->isa());
  });
}

}  // namespace parley::engine::cpu

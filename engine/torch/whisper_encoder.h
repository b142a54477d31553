// Whisper's encoder (arXiv 2212.04356) in LibTorch's operations: two convolutions over the log-mel frames,
// positions, transformer layers. engine/cpu/whisper/encoder.h is tested against it.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/torch/linear.h"
#include "engine/torch/weights.h"
#include "engine/whisper/config.h"

namespace parley::engine::libtorch {

struct LayerNorm {
  at::Tensor weight, bias;  // [width]
  LayerNorm() = default;
  LayerNorm(WeightReader* reader, const std::string& name, int width);
  at::Tensor operator()(const at::Tensor& x) const;  // [rows, width]
};

// The linear layer `name` of a checkpoint.
std::unique_ptr<const Linear> ReadLinear(WeightReader* reader, const std::string& name, int outputs,
                                         int inputs, Arithmetic arithmetic);
// The projections of the attention `name` to queries, keys and values as one: [3 * width] outputs.
std::unique_ptr<const Linear> ReadQueryKeyValue(WeightReader* reader, const std::string& name, int width,
                                                Arithmetic arithmetic);

// Immutable; used by the model thread only. Torch exceptions pass through.
class WhisperEncoder {
 public:
  WhisperEncoder(WeightReader* reader, const whisper::Config& config, Arithmetic arithmetic);

  int layers() const { return static_cast<int>(layers_.size()); }
  int max_positions() const { return static_cast<int>(positions_.size(0)); }

  // An encoding in steps, so that the caller can stop in between:
  // log_mel [mel_bins, frames], frames <= 2 * max_positions() -> [ceil(frames / 2), width]
  at::Tensor Begin(const at::Tensor& log_mel) const;
  // [positions, width] -> [positions, width]
  at::Tensor Layer(int layer, const at::Tensor& x) const;
  at::Tensor End(const at::Tensor& x) const;

 private:
  struct LayerWeights {
    LayerNorm attention_norm;
    std::unique_ptr<const Linear> qkv, out;
    LayerNorm ffn_norm;
    std::unique_ptr<const Linear> up, down;
  };

  // [rows, 3 * width] -> [rows, width]
  at::Tensor Attend(const at::Tensor& qkv) const;

  int heads_;
  at::Tensor conv1_weight_, conv1_bias_;  // [width, mel_bins, 3]
  at::Tensor conv2_weight_, conv2_bias_;  // [width, width, 3], stride 2
  at::Tensor positions_;                  // [max_positions, width]
  std::vector<LayerWeights> layers_;
  LayerNorm norm_;
};

}  // namespace parley::engine::libtorch

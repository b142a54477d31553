// What Whisper's encoder and decoder are made of, read from the Hugging Face layout for the integer kernels.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/bundle/safetensors.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/quantized_weights.h"

namespace parley::engine::cpu {

using Floats = kernels::AlignedBuffer<float>;

// y = x W^T + bias, W in 8 bits.
struct Dense {
  kernels::QuantizedWeights weights;
  std::vector<float> bias;  // [outputs]; empty: none
};

struct Norm {
  std::vector<float> weight, bias;  // [width]
};
inline constexpr float kNormEpsilon = 1e-5f;

// The projections of an attention.
struct AttentionLayer {
  Norm norm;
  Dense query, key, value;  // keys have no bias
  Dense out;
};

struct FeedForwardLayer {
  Norm norm;
  Dense up, down;
};

// Reads tensor after tensor and keeps the first error, so that loading reads like the list of weights: check
// status() once at the end. After an error it gives zeros.
class LayerReader {
 public:
  // `file` must outlive the reader.
  explicit LayerReader(const bundle::Safetensors* file) : file_(file) {}

  std::vector<float> Read(const std::string& name, std::initializer_list<int64_t> shape);
  Norm ReadNorm(const std::string& name, int width);
  Dense ReadDense(const std::string& name, int outputs, int inputs, bool bias = true);
  AttentionLayer ReadAttention(const std::string& name, const std::string& norm, int width);
  // "<layer>.fc1", "<layer>.fc2" and "<layer>.final_layer_norm".
  FeedForwardLayer ReadFeedForward(const std::string& layer, int width, int ffn);
  // Rows of floats, [outputs, inputs], to 8 bits.
  kernels::QuantizedWeights Pack(const std::string& name, const std::vector<float>& rows, int outputs,
                                 int inputs);
  const absl::Status& status() const { return status_; }

 private:
  const bundle::Safetensors* file_;
  absl::Status status_;
};

}  // namespace parley::engine::cpu

// What Whisper's encoder and decoder are made of, read from the Hugging Face layout for the integer kernels.
#pragma once

#include <string>
#include <vector>

#include "engine/cpu/float_reader.h"
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

class LayerReader : public FloatReader {
 public:
  using FloatReader::FloatReader;

  Norm ReadNorm(const std::string& name, int width);
  Dense ReadDense(const std::string& name, int outputs, int inputs, bool bias = true);
  AttentionLayer ReadAttention(const std::string& name, const std::string& norm, int width);
  // "<layer>.fc1", "<layer>.fc2" and "<layer>.final_layer_norm".
  FeedForwardLayer ReadFeedForward(const std::string& layer, int width, int ffn);
  // Rows of floats, [outputs, inputs], to 8 bits.
  kernels::QuantizedWeights Pack(const std::string& name, const std::vector<float>& rows, int outputs,
                                 int inputs);
};

}  // namespace parley::engine::cpu

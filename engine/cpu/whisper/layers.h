// What Whisper's encoder and decoder are made of, read from the Hugging Face layout.
#pragma once

#include <string>
#include <vector>

#include "engine/cpu/arithmetic.h"
#include "engine/cpu/float_reader.h"
#include "engine/cpu/matrix.h"
#include "engine/kernels/aligned_buffer.h"

namespace parley::engine::cpu {

using Floats = kernels::AlignedBuffer<float>;

// y = x W^T + bias
struct Dense {
  Matrix weights;
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
  LayerReader(const bundle::Safetensors* file, Arithmetic arithmetic)
      : FloatReader(file), arithmetic_(arithmetic) {}

  Norm ReadNorm(const std::string& name, int width);
  Dense ReadDense(const std::string& name, int outputs, int inputs, bool bias = true);
  AttentionLayer ReadAttention(const std::string& name, const std::string& norm, int width);
  // "<layer>.fc1", "<layer>.fc2" and "<layer>.final_layer_norm".
  FeedForwardLayer ReadFeedForward(const std::string& layer, int width, int ffn);
  // Rows of floats, [outputs, inputs].
  Matrix Pack(const std::string& name, const std::vector<float>& rows, int outputs, int inputs);

 private:
  const Arithmetic arithmetic_;
};

}  // namespace parley::engine::cpu

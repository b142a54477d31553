// What Whisper's encoder and decoder are made of, read from the Hugging Face layout.
#pragma once

#include <string>
#include <vector>

#include "engine/cpu/float_reader.h"
#include "engine/cpu/matrix.h"
#include "engine/cpu/padded_width.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/model/arithmetic.h"

namespace parley::engine::cpu {

using Floats = kernels::AlignedBuffer<float>;

// y = x W^T + bias
struct Dense {
  Matrix weights;
  std::vector<float> bias;  // [outputs]; empty: none
};

struct Norm {
  int values = 0;                   // before the padding
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

// What the layers of the encoder, or of the decoder, are as wide as; padded where the kernels need it.
struct LayerWidths {
  LayerWidths(int width, int heads, int ffn);

  PaddedWidth width;
  PaddedWidth ffn;
  PaddedWidth heads;  // of queries, keys and values
  int head_dim;
  float score_scale;  // of attention: 1 / sqrt(head width)
};

class LayerReader : public FloatReader {
 public:
  LayerReader(const bundle::Safetensors* file, Arithmetic arithmetic)
      : FloatReader(file), arithmetic_(arithmetic) {}

  // All come padded.
  std::vector<float> ReadRow(const std::string& name, const PaddedWidth& width);
  // [rows, width]
  std::vector<float> ReadRows(const std::string& name, int rows, const PaddedWidth& width);
  Norm ReadNorm(const std::string& name, const PaddedWidth& width);
  Dense ReadDense(const std::string& name, const PaddedWidth& outputs, const PaddedWidth& inputs,
                  bool bias = true);
  AttentionLayer ReadAttention(const std::string& name, const std::string& norm, const LayerWidths& widths);
  // "<layer>.fc1", "<layer>.fc2" and "<layer>.final_layer_norm".
  FeedForwardLayer ReadFeedForward(const std::string& layer, const LayerWidths& widths);
  // Rows of floats, [outputs, inputs].
  Matrix Pack(const std::string& name, const std::vector<float>& rows, int outputs, int inputs);

 private:
  const Arithmetic arithmetic_;
};

}  // namespace parley::engine::cpu

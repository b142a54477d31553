#include "engine/cpu/whisper/layers.h"

#include <utility>

#include "absl/status/statusor.h"

namespace parley::engine::cpu {

Norm LayerReader::ReadNorm(const std::string& name, int width) {
  return {Read(name + ".weight", {width}), Read(name + ".bias", {width})};
}

Dense LayerReader::ReadDense(const std::string& name, int outputs, int inputs, bool bias) {
  Dense dense;
  dense.weights = Pack(name, Read(name + ".weight", {outputs, inputs}), outputs, inputs);
  if (bias) dense.bias = Read(name + ".bias", {outputs});
  return dense;
}

AttentionLayer LayerReader::ReadAttention(const std::string& name, const std::string& norm, int width) {
  return {ReadNorm(norm, width), ReadDense(name + ".q_proj", width, width),
          ReadDense(name + ".k_proj", width, width, /*bias=*/false),
          ReadDense(name + ".v_proj", width, width), ReadDense(name + ".out_proj", width, width)};
}

FeedForwardLayer LayerReader::ReadFeedForward(const std::string& layer, int width, int ffn) {
  return {ReadNorm(layer + ".final_layer_norm", width), ReadDense(layer + ".fc1", ffn, width),
          ReadDense(layer + ".fc2", width, ffn)};
}

Matrix LayerReader::Pack(const std::string& name, const std::vector<float>& rows, int outputs, int inputs) {
  absl::StatusOr<Matrix> packed = Matrix::FromFloats(rows, outputs, inputs, arithmetic_);
  if (packed.ok()) return *std::move(packed);
  Fail(name, packed.status());
  return {};
}

}  // namespace parley::engine::cpu

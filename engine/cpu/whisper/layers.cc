#include "engine/cpu/whisper/layers.h"

#include <cmath>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/kernels/quantized_rows.h"

namespace parley::engine::cpu {

LayerWidths::LayerWidths(int model_width, int head_count, int ffn_width)
    : width(PaddedWidth::Of(model_width, kernels::kGroup)),
      ffn(PaddedWidth::Of(ffn_width, kernels::kGroup)),
      head_dim(PaddedHeadDim(head_count, model_width / head_count)),
      score_scale(1 / std::sqrt(static_cast<float>(model_width) / static_cast<float>(head_count))) {
  heads = PaddedHeads(head_count, model_width / head_count, head_dim);
}

std::vector<float> LayerReader::ReadRow(const std::string& name, const PaddedWidth& width) {
  return Pad(Read(name, {width.size()}), width);
}

std::vector<float> LayerReader::ReadRows(const std::string& name, int rows, const PaddedWidth& width) {
  return Pad(Read(name, {rows, width.size()}), PaddedWidth::Of(rows, 1), width);
}

Norm LayerReader::ReadNorm(const std::string& name, const PaddedWidth& width) {
  return {width.size(), ReadRow(name + ".weight", width), ReadRow(name + ".bias", width)};
}

Dense LayerReader::ReadDense(const std::string& name, const PaddedWidth& outputs, const PaddedWidth& inputs,
                             bool bias) {
  Dense dense;
  dense.weights = Pack(name, Pad(Read(name + ".weight", {outputs.size(), inputs.size()}), outputs, inputs),
                       outputs.padded(), inputs.padded());
  if (bias) dense.bias = ReadRow(name + ".bias", outputs);
  return dense;
}

AttentionLayer LayerReader::ReadAttention(const std::string& name, const std::string& norm,
                                          const LayerWidths& widths) {
  const PaddedWidth& width = widths.width;
  const PaddedWidth& heads = widths.heads;
  return {ReadNorm(norm, width), ReadDense(name + ".q_proj", heads, width),
          ReadDense(name + ".k_proj", heads, width, /*bias=*/false),
          ReadDense(name + ".v_proj", heads, width), ReadDense(name + ".out_proj", width, heads)};
}

FeedForwardLayer LayerReader::ReadFeedForward(const std::string& layer, const LayerWidths& widths) {
  return {ReadNorm(layer + ".final_layer_norm", widths.width),
          ReadDense(layer + ".fc1", widths.ffn, widths.width),
          ReadDense(layer + ".fc2", widths.width, widths.ffn)};
}

Matrix LayerReader::Pack(const std::string& name, const std::vector<float>& rows, int outputs, int inputs) {
  absl::StatusOr<Matrix> packed = Matrix::FromFloats(rows, outputs, inputs, arithmetic_);
  if (packed.ok()) return *std::move(packed);
  Fail(name, packed.status());
  return {};
}

}  // namespace parley::engine::cpu

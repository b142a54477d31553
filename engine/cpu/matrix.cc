#include "engine/cpu/matrix.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace parley::engine::cpu {
namespace {

using kernels::FloatLinear;
using kernels::QuantizedWeights;

// Whether the integer kernels take the file's own blocks.
bool KeepsBlocks(bundle::DType dtype) {
  return dtype == bundle::DType::kQ4_0 || dtype == bundle::DType::kQ4_1 || dtype == bundle::DType::kQ8_0;
}

absl::StatusOr<Matrix> Read(const bundle::LanguageModelFiles& files, bundle::Weight weight, int layer,
                            const PaddedWidth& output_width, const PaddedWidth& input_width,
                            Arithmetic arithmetic) {
  const bundle::TensorView view = files.Find(weight, layer);
  if (!IsInteger(arithmetic) || !KeepsBlocks(view.dtype) || output_width.is_padded() ||
      input_width.is_padded()) {
    absl::StatusOr<std::vector<float>> floats = files.Floats(weight, layer);
    if (!floats.ok()) return floats.status();
    return Matrix::FromFloats(Pad(*std::move(floats), output_width, input_width), output_width.padded(),
                              input_width.padded(), arithmetic);
  }
  const int outputs = static_cast<int>(view.shape[0]);
  const int inputs = static_cast<int>(view.shape[1]);
  const auto* bytes = reinterpret_cast<const uint8_t*>(view.bytes.data());
  absl::Span<const uint8_t> rows(bytes, view.bytes.size());
  std::vector<uint8_t> ordered;
  const std::vector<int64_t> order = files.RowOrder(weight);
  if (!order.empty()) {
    const size_t row_bytes = rows.size() / outputs;
    ordered.resize(rows.size());
    for (int i = 0; i < outputs; ++i) {
      std::memcpy(ordered.data() + i * row_bytes, rows.data() + order[i] * row_bytes, row_bytes);
    }
    rows = ordered;
  }
  absl::StatusOr<QuantizedWeights> packed =
      view.dtype == bundle::DType::kQ4_0   ? QuantizedWeights::FromQ4_0(rows, outputs, inputs)
      : view.dtype == bundle::DType::kQ4_1 ? QuantizedWeights::FromQ4_1(rows, outputs, inputs)
                                           : QuantizedWeights::FromQ8_0(rows, outputs, inputs);
  if (!packed.ok()) return packed.status();
  return Matrix(*std::move(packed));
}

}  // namespace

absl::StatusOr<Matrix> Matrix::FromFloats(absl::Span<const float> w, int outputs, int inputs,
                                          Arithmetic arithmetic) {
  if (!IsInteger(arithmetic)) {
    const auto storage =
        arithmetic == Arithmetic::kFp32 ? FloatLinear::Storage::kFp32 : FloatLinear::Storage::kBf16;
    return Matrix(FloatLinear(w, {}, outputs, inputs, storage));
  }
  absl::StatusOr<QuantizedWeights> packed = QuantizedWeights::FromFloats(w, outputs, inputs);
  if (!packed.ok()) return packed.status();
  return Matrix(*std::move(packed));
}

int Matrix::outputs() const {
  return std::visit([](const auto& weights) { return weights.outputs(); }, weights_);
}

int Matrix::tiles() const {
  return std::visit([](const auto& weights) { return weights.tiles(); }, weights_);
}

void Matrix::Multiply(const Activations& x, int first, int count, int tile_begin, int tile_end, float* y,
                      kernels::Isa isa) const {
  if (const auto* quantised = std::get_if<QuantizedWeights>(&weights_)) {
    quantised->Multiply(x.quantised(), {first, count}, tile_begin, tile_end, y, quantised->outputs(), isa);
    return;
  }
  const auto& floats = std::get<FloatLinear>(weights_);
  floats.ApplyTiles(x.floats() + static_cast<int64_t>(first) * x.k(), count, tile_begin, tile_end,
                    y + static_cast<int64_t>(first) * floats.outputs(), floats.outputs(), isa);
}

absl::StatusOr<Matrix> ReadMatrix(const bundle::LanguageModelFiles& files, bundle::Weight weight, int layer,
                                  const PaddedWidth& outputs, const PaddedWidth& inputs,
                                  Arithmetic arithmetic) {
  absl::StatusOr<Matrix> matrix = Read(files, weight, layer, outputs, inputs, arithmetic);
  if (matrix.ok()) return matrix;
  return absl::Status(matrix.status().code(), absl::StrCat(files.path(), ": ", files.Find(weight, layer).name,
                                                           ": ", matrix.status().message()));
}

}  // namespace parley::engine::cpu

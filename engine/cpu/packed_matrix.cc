#include "engine/cpu/packed_matrix.h"

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"

namespace parley::engine::cpu {
namespace {

absl::StatusOr<kernels::QuantizedWeights> Pack(const bundle::LanguageModelFiles& files, bundle::Weight weight,
                                               int layer) {
  const bundle::TensorView view = files.Find(weight, layer);
  const int outputs = static_cast<int>(view.shape[0]);
  const int inputs = static_cast<int>(view.shape[1]);
  const auto* bytes = reinterpret_cast<const uint8_t*>(view.bytes.data());
  absl::Span<const uint8_t> rows(bytes, view.bytes.size());

  std::vector<uint8_t> ordered;
  const std::vector<int64_t> order = files.RowOrder(weight);
  const bool keeps = view.dtype == bundle::DType::kQ4_0 || view.dtype == bundle::DType::kQ4_1 ||
                     view.dtype == bundle::DType::kQ8_0;
  if (keeps && !order.empty()) {
    const size_t row_bytes = rows.size() / outputs;
    ordered.resize(rows.size());
    for (int i = 0; i < outputs; ++i) {
      std::memcpy(ordered.data() + i * row_bytes, rows.data() + order[i] * row_bytes, row_bytes);
    }
    rows = ordered;
  }
  switch (view.dtype) {
    case bundle::DType::kQ4_0:
      return kernels::QuantizedWeights::FromQ4_0(rows, outputs, inputs);
    case bundle::DType::kQ4_1:
      return kernels::QuantizedWeights::FromQ4_1(rows, outputs, inputs);
    case bundle::DType::kQ8_0:
      return kernels::QuantizedWeights::FromQ8_0(rows, outputs, inputs);
    default: {
      const absl::StatusOr<std::vector<float>> floats = files.Floats(weight, layer);
      if (!floats.ok()) return floats.status();
      return kernels::QuantizedWeights::FromFloats(*floats, outputs, inputs);
    }
  }
}

}  // namespace

absl::StatusOr<kernels::QuantizedWeights> PackMatrix(const bundle::LanguageModelFiles& files,
                                                     bundle::Weight weight, int layer) {
  absl::StatusOr<kernels::QuantizedWeights> packed = Pack(files, weight, layer);
  if (packed.ok()) return packed;
  return absl::Status(packed.status().code(), absl::StrCat(files.path(), ": ", files.Find(weight, layer).name,
                                                           ": ", packed.status().message()));
}

}  // namespace parley::engine::cpu

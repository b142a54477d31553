#include "engine/kernels/quantized_rows.h"

#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels {

using internal::kPanelTerms;
using internal::Panel;

void QuantizedRows::Reset(int rows, int k, int terms) {
  rows_ = rows;
  k_ = k;
  terms_ = terms;
  const size_t panels = (static_cast<size_t>(rows) * terms + kPanelTerms - 1) / kPanelTerms;
  panels_.Resize(panels * (k / kGroup) * sizeof(Panel));
}

void QuantizedRows::Set(int row, const float* x, Isa isa) {
  const int groups = k_ / kGroup;
  const int term = row * terms_;
  auto* const panels = reinterpret_cast<Panel*>(panels_.data()) + int64_t{term / kPanelTerms} * groups;
  const auto quantize = isa == Isa::kPortable ? internal::QuantizeRowPortable : internal::QuantizeRowAvx2;
  quantize(x, groups, term % kPanelTerms, terms_, panels);
}

void QuantizedRows::Assign(const float* x, int rows, int k, int64_t stride, int terms, Isa isa) {
  Reset(rows, k, terms);
  for (int row = 0; row < rows; ++row) Set(row, x + row * stride, isa);
}

const Panel* QuantizedRows::panels() const { return reinterpret_cast<const Panel*>(panels_.data()); }

}  // namespace parley::engine::kernels

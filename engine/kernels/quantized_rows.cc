#include "engine/kernels/quantized_rows.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/quantize_row.h"

namespace parley::engine::kernels {
namespace internal {
namespace {

class PortableGroup {
 public:
  explicit PortableGroup(const float* x) {
    for (int i = 0; i < 32; ++i) v_[i] = std::isfinite(x[i]) ? x[i] : 0;
  }

  float Largest() const {
    float largest = 0;
    for (const float v : v_) largest = std::fmax(largest, std::fabs(v));
    return largest;
  }

  int32_t Round(float inverse, int8_t* values) {
    int32_t total = 0;
    for (int i = 0; i < 32; ++i) {
      q_[i] = std::clamp(static_cast<int>(std::nearbyint(v_[i] * inverse)), -127, 127);
      values[i] = static_cast<int8_t>(q_[i]);
      total += q_[i];
    }
    return total;
  }

  void TakeOff(float scale) {
    for (int i = 0; i < 32; ++i) v_[i] = std::fma(-scale, static_cast<float>(q_[i]), v_[i]);
  }

 private:
  float v_[32];
  int q_[32];
};

}  // namespace

int QuantizeRowPortable(const float* x, int groups, int slot, int terms, Panel* panels, Rest* rests) {
  return QuantizeRow<PortableGroup>(x, groups, slot, terms, panels, rests);
}

}  // namespace internal

using internal::kPanelTerms;
using internal::MostRests;
using internal::Panel;
using internal::Rest;

namespace {

auto QuantizeRowOf(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return internal::QuantizeRowPortable;
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return internal::QuantizeRowAvx2;
    case Isa::kAvx512:
      return internal::QuantizeRowAvx512;
  }
  return internal::QuantizeRowPortable;
}

}  // namespace

void QuantizedRows::Reset(int rows, int k, int terms) {
  rows_ = rows;
  k_ = k;
  terms_ = terms;
  const size_t panels = (static_cast<size_t>(rows) * terms + kPanelTerms - 1) / kPanelTerms;
  panels_.Resize(panels * (k / kGroup) * sizeof(Panel));
  if (terms == 1) rests_.Resize(static_cast<size_t>(rows) * MostRests(k / kGroup) * sizeof(Rest));
  rest_counts_.Resize(rows);
}

void QuantizedRows::Set(int row, const float* x, Isa isa) {
  const int groups = k_ / kGroup;
  const int term = row * terms_;
  auto* const panels = reinterpret_cast<Panel*>(panels_.data()) + int64_t{term / kPanelTerms} * groups;
  Rest* const rests =
      terms_ == 2 ? nullptr : reinterpret_cast<Rest*>(rests_.data()) + int64_t{row} * MostRests(groups);
  rest_counts_.data()[row] = QuantizeRowOf(isa)(x, groups, term % kPanelTerms, terms_, panels, rests);
}

void QuantizedRows::Assign(const float* x, int rows, int k, int64_t stride, int terms, Isa isa) {
  Reset(rows, k, terms);
  for (int row = 0; row < rows; ++row) Set(row, x + row * stride, isa);
}

int64_t QuantizedRows::row_bytes() const {
  return static_cast<int64_t>(sizeof(Panel)) / kPanelTerms * terms_ * (k_ / kGroup);
}

const Panel* QuantizedRows::panels() const { return reinterpret_cast<const Panel*>(panels_.data()); }

const Rest* QuantizedRows::rests(int row) const {
  if (terms_ == 2) return nullptr;
  return reinterpret_cast<const Rest*>(rests_.data()) + int64_t{row} * MostRests(k_ / kGroup);
}

}  // namespace parley::engine::kernels

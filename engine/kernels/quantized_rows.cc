#include "engine/kernels/quantized_rows.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels {
namespace internal {
namespace {

// Rounds x times `inverse` to -127..127; returns the sum.
int32_t Round(const float* x, float inverse, int8_t* values) {
  int32_t total = 0;
  for (int i = 0; i < 32; ++i) {
    const int q = std::clamp(static_cast<int>(std::nearbyint(x[i] * inverse)), -127, 127);
    values[i] = static_cast<int8_t>(q);
    total += q;
  }
  return total;
}

}  // namespace

void QuantizeRowPortable(const float* x, int groups, int slot, int terms, Panel* panels) {
  for (int g = 0; g < groups; ++g) {
    Panel& p = panels[g];
    float rest[32];
    float largest = 0;
    for (int i = 0; i < 32; ++i) {
      rest[i] = std::isfinite(x[g * 32 + i]) ? x[g * 32 + i] : 0;
      largest = std::fmax(largest, std::fabs(rest[i]));
    }
    const bool nothing = largest < kSmallest;
    const float inverse = nothing ? 0 : 127.0f / largest;
    const float scale = nothing ? 0 : largest / 127.0f;
    int32_t total = Round(rest, inverse, p.values[slot]);
    p.totals[slot] = total;
    p.scales[slot] = scale;
    if (terms == 2) {
      for (int i = 0; i < 32; ++i) {
        rest[i] = std::fma(-scale, static_cast<float>(p.values[slot][i]), rest[i]);
      }
      p.totals[slot + 1] = Round(rest, inverse * kTermRatio, p.values[slot + 1]);
      p.scales[slot] = scale / kTermRatio;
      total = total * kTermRatio + p.totals[slot + 1];
    }
    p.sums[slot] = p.scales[slot] * static_cast<float>(total);
  }
}

}  // namespace internal

using internal::kPanelTerms;
using internal::Panel;

namespace {

auto QuantizeRow(Isa isa) {
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
}

void QuantizedRows::Set(int row, const float* x, Isa isa) {
  const int groups = k_ / kGroup;
  const int term = row * terms_;
  auto* const panels = reinterpret_cast<Panel*>(panels_.data()) + int64_t{term / kPanelTerms} * groups;
  QuantizeRow(isa)(x, groups, term % kPanelTerms, terms_, panels);
}

void QuantizedRows::Assign(const float* x, int rows, int k, int64_t stride, int terms, Isa isa) {
  Reset(rows, k, terms);
  for (int row = 0; row < rows; ++row) Set(row, x + row * stride, isa);
}

int64_t QuantizedRows::row_bytes() const {
  return static_cast<int64_t>(sizeof(Panel)) / kPanelTerms * terms_ * (k_ / kGroup);
}

const Panel* QuantizedRows::panels() const { return reinterpret_cast<const Panel*>(panels_.data()); }

}  // namespace parley::engine::kernels

#include "engine/kernels/quantized_rows.h"

#include <algorithm>
#include <atomic>
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
using internal::RestPanel;

namespace {

auto QuantizeRowOf(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return internal::QuantizeRowPortable;
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return internal::QuantizeRowAvx2;
    case Isa::kAvx512:
    case Isa::kAmx:
      return internal::QuantizeRowAvx512;
  }
  return internal::QuantizeRowPortable;
}

}  // namespace

void QuantizedRows::Reset(int rows, int k, int terms) {
  rows_ = rows;
  k_ = k;
  terms_ = terms;
  const int groups = k / kGroup;
  const size_t panels = (static_cast<size_t>(rows) * terms + kPanelTerms - 1) / kPanelTerms;
  panels_.Resize(panels * groups * sizeof(Panel));
  if (terms == 2) return;
  row_rests_.Resize(static_cast<size_t>(rows) * MostRests(groups) * sizeof(Rest));
  row_rest_counts_.Resize(rows);
  rests_.Resize(panels * groups * sizeof(RestPanel));
  rest_counts_.Resize(panels);
  unset_.Resize(panels);
  for (size_t i = 0; i < panels; ++i) unset_.data()[i] = RowsOf(static_cast<int>(i));
}

void QuantizedRows::Set(int row, const float* x, Isa isa) {
  const int groups = k_ / kGroup;
  const int term = row * terms_;
  const int panel = term / kPanelTerms;
  auto* const panels = reinterpret_cast<Panel*>(panels_.data()) + int64_t{panel} * groups;
  const auto quantize = QuantizeRowOf(isa);
  if (terms_ == 2) {
    quantize(x, groups, term % kPanelTerms, terms_, panels, nullptr);
    return;
  }
  row_rest_counts_.data()[row] = quantize(x, groups, term % kPanelTerms, terms_, panels, RestsOf(row));
  if (std::atomic_ref<int>(unset_.data()[panel]).fetch_sub(1, std::memory_order_acq_rel) == 1) {
    JoinRests(panel);
  }
}

int QuantizedRows::RowsOf(int panel) const { return std::min(kPanelTerms, rows_ - panel * kPanelTerms); }

Rest* QuantizedRows::RestsOf(int row) {
  return reinterpret_cast<Rest*>(row_rests_.data()) + int64_t{row} * MostRests(k_ / kGroup);
}

void QuantizedRows::JoinRests(int panel) {
  const int groups = k_ / kGroup;
  const int first = panel * kPanelTerms;
  const int rows = RowsOf(panel);
  const Rest* next[kPanelTerms];
  const Rest* end[kPanelTerms];
  for (int r = 0; r < rows; ++r) {
    next[r] = RestsOf(first + r);
    end[r] = next[r] + row_rest_counts_.data()[first + r];
  }
  auto* const joined = reinterpret_cast<RestPanel*>(rests_.data()) + int64_t{panel} * groups;
  int count = 0;
  for (;;) {
    int group = groups;
    for (int r = 0; r < rows; ++r) {
      if (next[r] != end[r]) group = std::min(group, next[r]->group);
    }
    if (group == groups) break;
    RestPanel& to = joined[count++];
    to = {{}, group};
    for (int r = 0; r < rows; ++r) {
      if (next[r] == end[r] || next[r]->group != group) continue;
      std::copy_n(next[r]->values, kGroup, to.panel.values[r]);
      to.panel.scales[r] = next[r]->scale;
      ++next[r];
    }
  }
  rest_counts_.data()[panel] = count;
}

void QuantizedRows::Assign(const float* x, int rows, int k, int64_t stride, int terms, Isa isa) {
  Reset(rows, k, terms);
  for (int row = 0; row < rows; ++row) Set(row, x + row * stride, isa);
}

int64_t QuantizedRows::row_bytes() const {
  return static_cast<int64_t>(sizeof(Panel)) / kPanelTerms * terms_ * (k_ / kGroup);
}

const Panel* QuantizedRows::panels(int panel) const {
  return reinterpret_cast<const Panel*>(panels_.data()) + int64_t{panel} * (k_ / kGroup);
}

const RestPanel* QuantizedRows::rests(int panel) const {
  if (terms_ == 2) return nullptr;
  return reinterpret_cast<const RestPanel*>(rests_.data()) + int64_t{panel} * (k_ / kGroup);
}

}  // namespace parley::engine::kernels

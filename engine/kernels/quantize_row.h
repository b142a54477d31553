// The quantisation of a row over an abstract group of 32 values, instantiated once for each instruction set.
// A Group has:
//   Group(x)                  32 values; what is not finite counts as zero
//   Largest()                 of the magnitudes
//   Round(inverse, values)    writes them, times `inverse`, as -127..127; returns the sum of that
//   TakeOff(scale)            what Round wrote, times `scale`
// Include it in files that are compiled for one instruction set, and nowhere else.
#pragma once

#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels::internal {
namespace {

// Group g of a row of one term: what the term leaves over.
template <class Group>
void QuantizeRest(const float* x, int g, float term_scale, Rest& rest) {
  Group group(x + g * 32);
  const float inverse = 127.0f / group.Largest();
  group.Round(inverse, rest.values);
  group.TakeOff(term_scale);
  const int32_t total = group.Round(inverse * kTermRatio, rest.values);
  const float scale = term_scale / kTermRatio;
  rest.scale = {scale, scale * static_cast<float>(total), total};
  rest.group = g;
}

template <class Group>
int QuantizeRow(const float* x, int groups, int slot, int terms, Panel* panels, Rest* rests) {
  float scales = 0;
  for (int g = 0; g < groups; ++g) {
    Panel& p = panels[g];
    Group group(x + g * 32);
    const float largest = group.Largest();
    const bool nothing = largest < kSmallest;
    const float inverse = nothing ? 0 : 127.0f / largest;
    const float scale = nothing ? 0 : largest / 127.0f;
    const int32_t total = group.Round(inverse, p.values[slot]);
    scales += scale;
    if (terms == 1) {
      p.scales[slot] = {scale, scale * static_cast<float>(total), total};
    } else {
      group.TakeOff(scale);
      const int32_t finer = group.Round(inverse * kTermRatio, p.values[slot + 1]);
      const float step = scale / kTermRatio;
      p.scales[slot] = {step, step * static_cast<float>(total * kTermRatio + finer), total};
      p.scales[slot + 1] = {0, 0, finer};
    }
  }
  if (terms == 2) return 0;
  const float outlier = kOutlier * scales / static_cast<float>(groups);
  int count = 0;
  for (int g = 0; g < groups && count < MostRests(groups); ++g) {
    const float scale = panels[g].scales[slot].scale;
    if (scale > outlier) QuantizeRest<Group>(x, g, scale, rests[count++]);
  }
  return count;
}

}  // namespace
}  // namespace parley::engine::kernels::internal

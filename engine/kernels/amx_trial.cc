#include "engine/kernels/amx_trial.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "engine/kernels/cpu_features.h"
#include "engine/kernels/quantized_rows.h"
#include "engine/kernels/quantized_weights.h"

namespace parley::engine::kernels {
namespace {

// A piece of a prompt's product, as a thread gets it; it stays in the second level of the cache.
constexpr int kRows = 64;
constexpr int kInputs = 576;
constexpr int kTiles = 4;
constexpr int kTries = 20;

}  // namespace

bool AmxIsFaster() {
  using Clock = std::chrono::steady_clock;
  std::vector<float> values(static_cast<size_t>(kRows) * kInputs);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 61) - 30;
  const absl::Span<const float> weights =
      absl::MakeConstSpan(values).first(size_t{kTiles} * kTileOutputs * kInputs);
  const auto packed = QuantizedWeights::FromFloats(weights, kTiles * kTileOutputs, kInputs);
  if (!packed.ok()) return false;
  QuantizedRows rows;
  rows.Assign(values.data(), kRows, kInputs, kInputs, 1, Isa::kAvx512);
  std::vector<float> y(static_cast<size_t>(kRows) * packed->outputs());
  const auto time = [&](Isa isa) {
    const Clock::time_point start = Clock::now();
    packed->Multiply(rows, 0, kTiles, y.data(), packed->outputs(), isa);
    return Clock::now() - start;
  };
  Clock::duration amx = Clock::duration::max();
  Clock::duration avx512 = amx;
  for (int i = 0; i < kTries; ++i) {  // in turn, so that what disturbs disturbs both
    amx = std::min(amx, time(Isa::kAmx));
    avx512 = std::min(avx512, time(Isa::kAvx512));
  }
  return amx < avx512;
}

}  // namespace parley::engine::kernels

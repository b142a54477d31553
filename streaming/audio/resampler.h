// A mono signal at any whole rate to engine::kSampleRateHz, by libswresample.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

struct SwrContext;

namespace parley::streaming {

// Streaming: however the signal is cut into chunks, the output is the same. The filter's delay is taken off:
// output sample n is the input at time n / kSampleRateHz after the first sample. The ratio is exact: nothing
// drifts. Not thread-safe: used by one strand.
class Resampler {
 public:
  static absl::StatusOr<std::unique_ptr<Resampler>> Create(int rate_hz);
  ~Resampler();

  // Appends to `output` what can be computed so far.
  absl::Status Push(const float* samples, size_t count, std::vector<float>* output);
  // Appends the rest, as if the signal ended here, and starts anew.
  absl::Status Flush(std::vector<float>* output);

 private:
  explicit Resampler(SwrContext* swr) : swr_(swr) {}
  absl::Status Convert(const float* samples, size_t count, std::vector<float>* output);

  SwrContext* swr_;  // null: the rate is kSampleRateHz already
};

}  // namespace parley::streaming

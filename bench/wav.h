// Speech as the peers read it: the clips that bench/peers/install made, and what a call brings.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace parley::bench {

// Samples at engine::kSampleRateHz (tests/reference/pcm16.h). NOT_FOUND when it is missing or empty.
absl::StatusOr<std::vector<float>> ReadWav(const std::string& path);
// Samples in [-1, 1] as little-endian PCM16.
std::string ToPcm16(absl::Span<const float> samples);
// Mono PCM16 at engine::kSampleRateHz.
absl::Status WriteWav(const std::string& path, const std::vector<float>& samples);

}  // namespace parley::bench

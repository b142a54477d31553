// The speech clips that bench/peers/install made.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace parley::bench {

inline constexpr int kSampleRateHz = 16000;

// Samples of a mono PCM16 file at kSampleRateHz with a header of 44 bytes. NOT_FOUND when it is missing or
// empty.
absl::StatusOr<std::vector<float>> ReadWav(const std::string& path);

}  // namespace parley::bench

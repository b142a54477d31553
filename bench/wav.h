// The speech clips that bench/peers/install made.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace parley::bench {

// Samples at engine::kSampleRateHz (tests/reference/pcm16.h). NOT_FOUND when it is missing or empty.
absl::StatusOr<std::vector<float>> ReadWav(const std::string& path);

}  // namespace parley::bench

// The speech that bench/peers/install had spoken, and whether a transcript is what was said.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/harness.h"

namespace parley::bench {

struct Clip {
  std::string name;  // "3s"
  std::string path;  // WAV
  std::string spoken;
  std::vector<float> samples;  // at engine::kSampleRateHz
};

absl::StatusOr<std::vector<Clip>> ReadClips(const SuiteOptions& options);

// In lower case, without punctuation: OK when it is what was spoken, but for one word in 25. `who` wrote it.
absl::Status CheckWords(const std::string& who, const Clip& clip, const std::string& transcript);

}  // namespace parley::bench

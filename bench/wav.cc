#include "bench/wav.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/reference/pcm16.h"

namespace parley::bench {

absl::StatusOr<std::vector<float>> ReadWav(const std::string& path) {
  std::vector<float> samples = testing::ReadPcm16Wav(path);
  if (samples.empty()) return absl::NotFoundError(absl::StrCat(path, " is missing or empty"));
  return samples;
}

}  // namespace parley::bench

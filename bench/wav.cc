#include "bench/wav.h"

#include <cstdint>
#include <fstream>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace parley::bench {

absl::StatusOr<std::vector<float>> ReadWav(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  constexpr size_t kHeader = 44;
  if (bytes.size() <= kHeader) return absl::NotFoundError(absl::StrCat(path, " is missing or empty"));
  std::vector<float> samples;
  for (size_t i = kHeader; i + 1 < bytes.size(); i += 2) {
    const auto value =
        static_cast<int16_t>(static_cast<uint8_t>(bytes[i]) | static_cast<uint8_t>(bytes[i + 1]) << 8);
    samples.push_back(static_cast<float>(value) / 32768.0f);
  }
  return samples;
}

}  // namespace parley::bench

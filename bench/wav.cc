#include "bench/wav.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/api/media.h"
#include "tests/reference/pcm16.h"

namespace parley::bench {

absl::StatusOr<std::vector<float>> ReadWav(const std::string& path) {
  std::vector<float> samples = testing::ReadPcm16Wav(path);
  if (samples.empty()) return absl::NotFoundError(absl::StrCat(path, " is missing or empty"));
  return samples;
}

std::string ToPcm16(absl::Span<const float> samples) {
  std::string bytes;
  for (const float sample : samples) {
    const auto value = static_cast<int16_t>(std::lrint(std::clamp(sample * 32768.0f, -32768.0f, 32767.0f)));
    bytes += static_cast<char>(value);
    bytes += static_cast<char>(value >> 8);
  }
  return bytes;
}

absl::Status WriteWav(const std::string& path, const std::vector<float>& samples) {
  std::string bytes;
  const auto put = [&bytes](uint32_t value, int count) {
    for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i));
  };
  const auto data = static_cast<uint32_t>(2 * samples.size());
  bytes += "RIFF";
  put(36 + data, 4);
  bytes += "WAVEfmt ";
  put(16, 4);
  put(1, 2);  // PCM
  put(1, 2);  // channel
  put(engine::kSampleRateHz, 4);
  put(2 * engine::kSampleRateHz, 4);
  put(2, 2);
  put(16, 2);
  bytes += "data";
  put(data, 4);
  bytes += ToPcm16(samples);
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.good()) return absl::UnavailableError(absl::StrCat(path, " cannot be written"));
  return absl::OkStatus();
}

}  // namespace parley::bench

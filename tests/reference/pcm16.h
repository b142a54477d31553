// Speech clips as the tests and the benchmarks have them: WAV with a header of 44 bytes, mono PCM16 at
// 16 kHz.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace parley::testing {

// Empty when the file is missing or has no samples.
inline std::vector<float> ReadPcm16Wav(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<float> samples;
  for (size_t i = 44; i + 1 < bytes.size(); i += 2) {
    const auto value =
        static_cast<int16_t>(static_cast<uint8_t>(bytes[i]) | static_cast<uint8_t>(bytes[i + 1]) << 8);
    samples.push_back(static_cast<float>(value) / 32768.0f);
  }
  return samples;
}

}  // namespace parley::testing

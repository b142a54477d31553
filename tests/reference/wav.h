// Reference inputs and outputs, for the tests that compare with a reference.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace parley::testing {

inline std::string ReferencePath(const std::string& name) {
  return std::string(PARLEY_SOURCE_DIR) + "/tests/reference/" + name;
}

// Samples of tests/reference/clips/<name>.wav (a 44-byte header, mono PCM16 at 16 kHz); empty when it is
// missing.
inline std::vector<float> ReadClip(const std::string& name) {
  std::ifstream file(ReferencePath("clips/" + name + ".wav"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<float> samples;
  for (size_t i = 44; i + 1 < bytes.size(); i += 2) {
    const auto value =
        static_cast<int16_t>(static_cast<uint8_t>(bytes[i]) | static_cast<uint8_t>(bytes[i + 1]) << 8);
    samples.push_back(static_cast<float>(value) / 32768.0f);
  }
  return samples;
}

// A file of little-endian fp32 values; empty when it is missing.
inline std::vector<float> ReadFloats(const std::string& name) {
  std::ifstream file(ReferencePath(name), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// Numbers of a text file, separated by white space.
inline std::vector<float> ReadNumbers(const std::string& name) {
  std::ifstream file(ReferencePath(name));
  return {std::istream_iterator<float>(file), {}};
}

}  // namespace parley::testing

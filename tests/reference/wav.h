// Reference inputs and outputs, for the tests that compare with a reference.
#pragma once

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/reference/pcm16.h"

namespace parley::testing {

inline std::string ReferencePath(const std::string& name) {
  return std::string(PARLEY_SOURCE_DIR) + "/tests/reference/" + name;
}

// Samples of tests/reference/clips/<name>.wav; empty when it is missing.
inline std::vector<float> ReadClip(const std::string& name) {
  return ReadPcm16Wav(ReferencePath("clips/" + name + ".wav"));
}

// Samples of tests/reference/cases/<name>.wav; empty when it is missing.
inline std::vector<float> ReadCase(const std::string& name) {
  return ReadPcm16Wav(ReferencePath("cases/" + name + ".wav"));
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

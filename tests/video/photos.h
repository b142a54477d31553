// The photos of tests/video/photos.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "engine/api/media.h"

namespace parley::tests {

inline std::string Photo(const std::string& name) {
  std::ifstream file(std::string(PARLEY_SOURCE_DIR) + "/tests/video/photos/" + name, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  EXPECT_FALSE(bytes.str().empty()) << name;
  return bytes.str();
}

// What they all show.
inline engine::Image Cat() {
  const std::string rgb = Photo("cat.rgb");
  return {96, 64, std::vector<uint8_t>(rgb.begin(), rgb.end())};
}

}  // namespace parley::tests

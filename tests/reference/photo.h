// Reference photos, for the tests that look at them.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>

#include "engine/api/media.h"
#include "tests/reference/wav.h"

namespace parley::testing {

// tests/reference/photos/<name>.ppm.
inline engine::ImagePtr ReadPhoto(const std::string& name) {
  std::ifstream file(ReferencePath("photos/" + name + ".ppm"), std::ios::binary);
  std::string magic;
  int largest = 0;
  auto image = std::make_shared<engine::Image>();
  file >> magic >> image->width >> image->height >> largest;
  file.get();
  image->pixels.resize(static_cast<size_t>(image->width) * image->height * 3);
  file.read(reinterpret_cast<char*>(image->pixels.data()),
            static_cast<std::streamsize>(image->pixels.size()));
  EXPECT_TRUE(file.good()) << name;
  return image;
}

}  // namespace parley::testing

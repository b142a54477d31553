// What the engine hears and sees: plain memory, decoded.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace parley::engine {

// All audio inside Parley: mono float in [-1, 1] at this rate.
inline constexpr int kSampleRateHz = 16'000;

// An upright picture, 8-bit RGB, rows without padding: pixels[(y * width + x) * 3 + channel].
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;
};
using ImagePtr = std::shared_ptr<const Image>;

}  // namespace parley::engine

#include "streaming/video/scene_detector.h"

#include <algorithm>
#include <cstdlib>

namespace parley::streaming {
namespace {

// Mean luma (BT.601) of the box [x0, x1) x [y0, y1), from every `step`-th pixel each way.
uint8_t MeanLuma(const engine::Image& image, int x0, int x1, int y0, int y1, int step) {
  uint64_t sum = 0;
  uint64_t count = 0;
  for (int y = y0; y < y1; y += step) {
    const uint8_t* row = image.pixels.data() + static_cast<size_t>(y) * image.width * 3;
    for (int x = x0; x < x1; x += step) {
      sum += 77u * row[3 * x] + 150u * row[3 * x + 1] + 29u * row[3 * x + 2];
      ++count;
    }
  }
  return static_cast<uint8_t>(sum / (count * 256));
}

}  // namespace

bool SceneDetector::Changed(const engine::Image& image, float threshold) {
  // Sixteen samples a box side are plenty to average noise out, whatever the size of the picture.
  const int step = std::max(1, std::min(image.width, image.height) / (kGrid * 16));
  std::array<uint8_t, kGrid * kGrid> luma;
  for (int row = 0; row < kGrid; ++row) {
    const int y0 = static_cast<int>(static_cast<int64_t>(image.height) * row / kGrid);
    const int y1 = static_cast<int>(static_cast<int64_t>(image.height) * (row + 1) / kGrid);
    for (int column = 0; column < kGrid; ++column) {
      const int x0 = static_cast<int>(static_cast<int64_t>(image.width) * column / kGrid);
      const int x1 = static_cast<int>(static_cast<int64_t>(image.width) * (column + 1) / kGrid);
      // A picture smaller than the grid has boxes without a pixel: they take the one they fall on.
      luma[row * kGrid + column] = MeanLuma(image, x0, std::max(x1, x0 + 1), y0, std::max(y1, y0 + 1), step);
    }
  }
  if (image.width == width_ && image.height == height_) {
    int difference = 0;
    for (size_t i = 0; i < luma.size(); ++i) difference += std::abs(luma[i] - luma_[i]);
    if (static_cast<float>(difference) < threshold * 255.0f * luma.size()) return false;
  }
  width_ = image.width;
  height_ = image.height;
  luma_ = luma;
  return true;
}

}  // namespace parley::streaming

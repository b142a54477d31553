// Has the camera's view changed? Compares pictures on a small grid of mean brightness, so that noise and
// compression average out and a moved person does not.
#pragma once

#include <array>
#include <cstdint>

#include "engine/api/media.h"

namespace parley::streaming {

// Not thread-safe: used by one strand.
class SceneDetector {
 public:
  static constexpr int kGrid = 16;

  // True for the first picture, for one of another size, and when the mean absolute luma difference to the
  // last picture for which this was true is at least `threshold` (0 to 1; 0: always). Comparing with the last
  // picture kept, not the last seen, lets a slow change add up.
  bool Changed(const engine::Image& image, float threshold);
  // The next picture counts as changed: what was kept is not with the model any more.
  void Reset() { width_ = height_ = 0; }

 private:
  int width_ = 0;
  int height_ = 0;
  std::array<uint8_t, kGrid * kGrid> luma_{};  // of the last picture kept, row by row
};

}  // namespace parley::streaming

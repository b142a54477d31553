// Where a decoded picture is written.
#pragma once

#include <cstdint>

namespace parley::streaming {

class PictureTarget {
 public:
  virtual ~PictureTarget() = default;
  // Memory for the pixels of an upright picture, as engine::Image has them; all of it is then written.
  virtual uint8_t* Start(int width, int height) = 0;
};

}  // namespace parley::streaming

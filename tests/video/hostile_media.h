// Pictures that cost a decoder far more than their bytes, where nothing bounds them.
#pragma once

#include <cstddef>
#include <string>

#include "tests/video/media_encoder.h"

namespace parley::tests {

// A picture's only frame, then the shortest NAL units up to `bytes`.
inline std::string H264OfUnits(size_t bytes) {
  std::string units = EncodeStream(streaming::VideoCodec::kH264, {.width = 64, .height = 64, .frames = 1})[0];
  while (units.size() < bytes) units += std::string("\0\0\1\x41", 4);
  return units;
}

// 24 scans of 16 megapixels.
inline std::string JpegOfScans() {
  std::string jpeg("\xff\xd8\xff\xc0\0\x0b\x08\x10\0\x10\0\x01\x01\x11\0", 15);
  for (int i = 0; i < 24; ++i) jpeg += std::string("\xff\xda\0\x08\x01\x01\0\0\x3f\0\x55", 11);
  return jpeg + "\xff\xd9";
}

}  // namespace parley::tests

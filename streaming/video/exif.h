// The one thing of EXIF (CIPA DC-008) that changes what a picture shows: how the camera was held.
#pragma once

#include <string_view>

namespace parley::streaming {

// Orientations as EXIF numbers them: which way the stored picture has to be turned, or mirrored, to be
// upright. 1: it is upright. 2: mirror left and right. 3: turn by 180 degrees. 4: mirror top and bottom. 5:
// swap rows and columns. 6: turn clockwise by 90 degrees. 7: swap rows and columns and turn by 180. 8: turn
// clockwise by 270.
inline constexpr int kUpright = 1;

// `exif`: a TIFF file, or one behind "Exif\0\0", of either byte order. 1 where it does not say, or not in its
// first directory, or is malformed: nothing of it is trusted, and nothing beyond its bytes is read.
int ExifOrientation(std::string_view exif);

// 0, 90, 180 or 270 degrees clockwise; 0 for anything else, which is none.
int OrientationOfRotation(int rotation_degrees);

}  // namespace parley::streaming

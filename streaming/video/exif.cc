#include "streaming/video/exif.h"

#include "streaming/video/bytes.h"

namespace parley::streaming {

using std::string_view_literals::operator""sv;

int ExifOrientation(std::string_view exif) {
  if (exif.starts_with("Exif\0\0"sv)) exif.remove_prefix(6);
  const bool little = exif.starts_with("II\x2a\0"sv);
  if (!little && !exif.starts_with("MM\0\x2a"sv)) return kUpright;
  const auto short_at = [&](size_t at) { return little ? Little16(exif, at) : Big16(exif, at); };
  const auto long_at = [&](size_t at) { return little ? Little32(exif, at) : Big32(exif, at); };
  constexpr size_t kEntryBytes = 12;
  if (exif.size() < 8) return kUpright;
  const size_t directory = long_at(4);
  if (directory > exif.size() || exif.size() - directory < 2) return kUpright;
  const size_t entries = short_at(directory);
  size_t at = directory + 2;
  for (size_t entry = 0; entry < entries && exif.size() - at >= kEntryBytes; ++entry, at += kEntryBytes) {
    constexpr uint32_t kOrientationTag = 0x0112;
    constexpr uint32_t kShort = 3;
    if (short_at(at) != kOrientationTag) continue;
    if (short_at(at + 2) != kShort || long_at(at + 4) != 1) return kUpright;
    const uint32_t orientation = short_at(at + 8);
    return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : kUpright;
  }
  return kUpright;
}

int OrientationOfRotation(int rotation_degrees) {
  switch (rotation_degrees) {
    case 0:
      return kUpright;
    case 90:
      return 6;
    case 180:
      return 3;
    case 270:
      return 8;
    default:
      return 0;
  }
}

}  // namespace parley::streaming

// Numbers in the headers of files, at a place that the caller has checked to be there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace parley::streaming {

inline uint8_t U8(std::string_view data, size_t at) { return static_cast<uint8_t>(data[at]); }
inline uint32_t Big16(std::string_view data, size_t at) { return U8(data, at) << 8 | U8(data, at + 1); }
inline uint32_t Big32(std::string_view data, size_t at) {
  return Big16(data, at) << 16 | Big16(data, at + 2);
}
inline uint32_t Little16(std::string_view data, size_t at) { return U8(data, at) | U8(data, at + 1) << 8; }
inline uint32_t Little24(std::string_view data, size_t at) {
  return Little16(data, at) | static_cast<uint32_t>(U8(data, at + 2)) << 16;
}
inline uint32_t Little32(std::string_view data, size_t at) {
  return Little16(data, at) | Little16(data, at + 2) << 16;
}

}  // namespace parley::streaming

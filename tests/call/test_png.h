// A valid PNG of one colour, made without a library.
#pragma once

#include <cstdint>
#include <string>

namespace parley::streaming {

inline std::string BigEndian32(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

inline std::string PngChunk(const std::string& type, const std::string& data) {
  uint32_t crc = 0xffffffffu;
  for (const char c : type + data) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  return BigEndian32(static_cast<uint32_t>(data.size())) + type + data + BigEndian32(~crc);
}

// 8-bit grey RGB of `luma`, size x size, size at most 80 (one stored deflate block).
inline std::string TestPng(uint8_t luma, int size = 16) {
  std::string rows;
  for (int y = 0; y < size; ++y)
    rows += std::string(1, '\0') + std::string(3 * size, static_cast<char>(luma));
  uint32_t a = 1;
  uint32_t b = 0;
  for (const char c : rows) {
    a = (a + static_cast<uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const auto length = static_cast<uint16_t>(rows.size());
  const std::string block = {'\x01', static_cast<char>(length), static_cast<char>(length >> 8),
                             static_cast<char>(~length), static_cast<char>(~length >> 8)};
  const std::string header = BigEndian32(size) + BigEndian32(size) + std::string("\x08\x02\0\0\0", 5);
  return std::string("\x89PNG\r\n\x1a\n", 8) + PngChunk("IHDR", header) +
         PngChunk("IDAT", "\x78\x01" + block + rows + BigEndian32((b << 16) | a)) + PngChunk("IEND", "");
}

}  // namespace parley::streaming

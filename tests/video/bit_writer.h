// Bits of a header, most significant first, for headers that no encoder writes.
#pragma once

#include <cstdint>
#include <string>

namespace parley::tests {

class BitWriter {
 public:
  BitWriter& Bits(uint64_t value, int count) {
    for (int i = count - 1; i >= 0; --i) bits_ += static_cast<char>(value >> i & 1);
    return *this;
  }
  // Exp-Golomb code, ITU-T H.264 section 9.1.
  BitWriter& Golomb(uint32_t value) {
    int length = 0;
    while ((uint64_t{value} + 1) >> (length + 1)) ++length;
    return Bits(0, length).Bits(uint64_t{value} + 1, length + 1);
  }
  std::string Bytes() const {
    std::string bytes((bits_.size() + 7) / 8, '\0');
    for (size_t i = 0; i < bits_.size(); ++i) bytes[i / 8] |= static_cast<char>(bits_[i] << (7 - i % 8));
    return bytes;
  }

 private:
  std::string bits_;
};

}  // namespace parley::tests

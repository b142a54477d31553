// Bits of a header, most significant first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace parley::streaming {

// Past the end it reads zeros and `overrun` is true. `data` must outlive it.
class BitReader {
 public:
  explicit BitReader(std::string_view data) : data_(data) {}

  uint32_t Bits(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i) {
      const bool bit =
          at_ / 8 < data_.size() && (static_cast<uint8_t>(data_[at_ / 8]) >> (7 - at_ % 8) & 1) != 0;
      value = value << 1 | static_cast<uint32_t>(bit);
      ++at_;
    }
    return value;
  }
  bool Bit() { return Bits(1) != 0; }
  // Exp-Golomb code, ITU-T H.264 section 9.1.
  uint32_t Golomb() {
    int zeros = 0;
    while (zeros < 31 && !overrun() && !Bit()) ++zeros;
    return (1u << zeros) - 1 + Bits(zeros);
  }
  int32_t SignedGolomb() {
    const uint32_t code = Golomb();
    return code & 1 ? static_cast<int32_t>(code / 2 + 1) : -static_cast<int32_t>(code / 2);
  }
  bool overrun() const { return at_ > data_.size() * 8; }

 private:
  std::string_view data_;
  size_t at_ = 0;
};

}  // namespace parley::streaming

#include "streaming/video/webp_lossless.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"

namespace parley::streaming {
namespace {

constexpr int kMaxCodeLength = 15;

// Least significant bit first. Past the end it reads zeros and `overrun` is true.
class LittleBitReader {
 public:
  explicit LittleBitReader(std::string_view data) : data_(data) {}

  uint32_t Bits(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      const bool bit = at_ / 8 < data_.size() && (static_cast<uint8_t>(data_[at_ / 8]) >> (at_ % 8) & 1) != 0;
      value |= static_cast<uint32_t>(bit) << i;
    }
    return value;
  }
  bool Bit() { return Bits(1) != 0; }
  bool overrun() const { return at_ > data_.size() * 8; }

 private:
  std::string_view data_;
  size_t at_ = 0;
};

// A canonical prefix code, section 3.7.2. One symbol alone takes no bits.
class PrefixCode {
 public:
  // False: lengths that make no complete code.
  bool Set(const std::vector<uint8_t>& lengths) {
    counts_.fill(0);
    symbols_.clear();
    for (const uint8_t length : lengths) ++counts_[length];
    counts_[0] = 0;
    int left = 1;
    for (int length = 1; length <= kMaxCodeLength; ++length) {
      left = 2 * left - counts_[length];
      if (left < 0) return false;
      for (size_t symbol = 0; symbol < lengths.size(); ++symbol) {
        if (lengths[symbol] == length) symbols_.push_back(static_cast<uint16_t>(symbol));
      }
    }
    if (symbols_.empty()) return false;
    return left == 0 || symbols_.size() == 1;
  }

  int Read(LittleBitReader& bits) const {
    if (symbols_.size() == 1) return symbols_[0];
    int code = 0;
    int first = 0;
    int index = 0;
    for (int length = 1; length <= kMaxCodeLength; ++length) {
      code |= static_cast<int>(bits.Bits(1));
      const int count = counts_[length];
      if (code - count < first) return symbols_[index + code - first];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return symbols_[0];  // not of a complete code
  }

 private:
  std::array<int, kMaxCodeLength + 1> counts_;  // by length
  std::vector<uint16_t> symbols_;               // by length, then value
};

class Walker {
 public:
  explicit Walker(std::string_view data) : bits_(data) {}

  // The number of groups, 0 where the data are damaged.
  int Groups(int64_t width, int64_t height) {
    for (int transforms = 0; bits_.Bit(); ++transforms) {
      if (transforms == 4 || bits_.overrun()) return 0;
      switch (bits_.Bits(2)) {
        case 0:  // prediction
        case 1:  // colour
          if (!Blocks(width, height, nullptr)) return 0;
          break;
        case 2:  // green is subtracted
          break;
        default: {  // a palette; few colours share a pixel
          const int colours = static_cast<int>(bits_.Bits(8)) + 1;
          if (!Image(colours, nullptr)) return 0;
          const int shift = colours <= 2 ? 3 : colours <= 4 ? 2 : colours <= 16 ? 1 : 0;
          width = (width + (1 << shift) - 1) >> shift;
        }
      }
    }
    if (ColourCacheBits() < 0) return 0;
    int largest = 0;
    if (bits_.Bit() && !Blocks(width, height, &largest)) return 0;
    return bits_.overrun() ? 0 : largest + 1;
  }

 private:
  // An image of one pixel for each block.
  bool Blocks(int64_t width, int64_t height, int* largest) {
    const int shift = static_cast<int>(bits_.Bits(3)) + 2;
    const int64_t side = int64_t{1} << shift;
    return Image(((width + side - 1) >> shift) * ((height + side - 1) >> shift), largest);
  }

  int ColourCacheBits() {
    if (!bits_.Bit()) return 0;
    const int cache_bits = static_cast<int>(bits_.Bits(4));
    return cache_bits >= 1 && cache_bits <= 11 ? cache_bits : -1;
  }

  // `largest`: the largest number that red and green make together. Pixels that are copied, from before or
  // from the cache, are none that were not there.
  bool Image(int64_t pixels, int* largest) {
    constexpr int kLengths = 24;
    constexpr int kDistances = 40;
    const int cache_bits = ColourCacheBits();
    if (cache_bits < 0) return false;
    const int cache = cache_bits == 0 ? 0 : 1 << cache_bits;
    std::array<PrefixCode, 5> codes;
    const int sizes[5] = {256 + kLengths + cache, 256, 256, 256, kDistances};
    for (int i = 0; i < 5; ++i) {
      if (!ReadCode(sizes[i], &codes[i])) return false;
    }
    for (bool first = true; pixels > 0; first = false) {
      if (bits_.overrun()) return false;
      const int symbol = codes[0].Read(bits_);
      if (symbol < 256) {
        const int red = codes[1].Read(bits_);
        codes[2].Read(bits_);
        codes[3].Read(bits_);
        if (largest != nullptr) *largest = std::max(*largest, red << 8 | symbol);
        --pixels;
      } else if (symbol < 256 + kLengths) {
        if (first) return false;  // a copy of nothing
        pixels -= Number(symbol - 256);
        Number(codes[4].Read(bits_));
      } else {
        --pixels;
      }
    }
    return true;
  }

  // A length or distance, section 3.6.2.
  int64_t Number(int prefix) {
    if (prefix < 4) return prefix + 1;
    const int extra = (prefix - 2) >> 1;
    return (int64_t{2 + (prefix & 1)} << extra) + bits_.Bits(extra) + 1;
  }

  bool ReadCode(int size, PrefixCode* code) {
    if (bits_.Bit()) return ReadSimpleCode(size, code);
    constexpr int kOrder[19] = {17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    std::vector<uint8_t> lengths_of_lengths(19);
    const int count = static_cast<int>(bits_.Bits(4)) + 4;
    for (int i = 0; i < count; ++i) lengths_of_lengths[kOrder[i]] = static_cast<uint8_t>(bits_.Bits(3));
    PrefixCode code_of_lengths;
    if (!code_of_lengths.Set(lengths_of_lengths)) return false;
    int left = size;
    if (bits_.Bit()) {
      const int bits = 2 + 2 * static_cast<int>(bits_.Bits(3));
      left = 2 + static_cast<int>(bits_.Bits(bits));
      if (left > size) return false;
    }
    std::vector<uint8_t> lengths;
    uint8_t previous = 8;
    while (static_cast<int>(lengths.size()) < size && left-- > 0) {
      if (bits_.overrun()) return false;
      const int symbol = code_of_lengths.Read(bits_);
      if (symbol < 16) {
        lengths.push_back(static_cast<uint8_t>(symbol));
        if (symbol != 0) previous = static_cast<uint8_t>(symbol);
        continue;
      }
      const int repeat = static_cast<int>(symbol == 16   ? 3 + bits_.Bits(2)
                                          : symbol == 17 ? 3 + bits_.Bits(3)
                                                         : 11 + bits_.Bits(7));
      if (static_cast<int>(lengths.size()) + repeat > size) return false;
      lengths.insert(lengths.end(), repeat, symbol == 16 ? previous : 0);
    }
    lengths.resize(size);
    return code->Set(lengths);
  }

  bool ReadSimpleCode(int size, PrefixCode* code) {
    const bool two = bits_.Bit();
    const int first = static_cast<int>(bits_.Bits(bits_.Bit() ? 8 : 1));
    const int second = two ? static_cast<int>(bits_.Bits(8)) : first;
    if (first >= size || second >= size) return false;
    if (two && first == second) return false;  // decoders differ on whether that takes a bit
    std::vector<uint8_t> lengths(size);
    lengths[first] = lengths[second] = 1;
    return code->Set(lengths);
  }

  LittleBitReader bits_;
};

}  // namespace

absl::Status CheckPrefixCodeGroups(std::string_view data, int64_t width, int64_t height) {
  const int groups = Walker(data).Groups(width, height);
  if (groups == 0) return absl::InvalidArgumentError("a damaged WebP picture: prefix codes that are none");
  if (groups <= kMaxPrefixCodeGroups) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "a WebP picture of ", groups, " groups of prefix codes; at most ", kMaxPrefixCodeGroups, " are taken"));
}

}  // namespace parley::streaming

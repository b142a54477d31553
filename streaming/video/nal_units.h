// NAL units of an H.264 byte stream: ITU-T H.264, Annex B and section 7.3.1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace parley::streaming {

inline constexpr std::string_view kNalStartCode("\0\0\1", 3);

// In a message; libavcodec takes 4 KiB for each.
inline constexpr int kMaxNalUnits = 2'048;

// Of section 7.4.1, those that are told apart here.
enum NalType : int {
  kNalSlice = 1,
  kNalPartitionA = 2,
  kNalPartitionC = 4,
  kNalIdrSlice = 5,
  kNalSupplemental = 6,
  kNalSequenceParameterSet = 7,
  kNalPictureParameterSet = 8,
  kNalDelimiter = 9,
  kNalSequenceExtension = 13,
};

// REQUIRES: `nal` is not empty.
inline int NalTypeOf(std::string_view nal) { return static_cast<uint8_t>(nal[0]) & 0x1f; }

// Where the next start code begins, npos: nowhere. A nanosecond a byte at most, whatever the bytes are;
// string_view::find takes ten where they are zeros.
inline size_t FindStartCode(std::string_view data, size_t from) {
  for (size_t i = from + 2; i < data.size();) {
    if (data[i] == 0) {
      i += 1;
    } else if (data[i] == 1 && data[i - 1] == 0 && data[i - 2] == 0) {
      return i - 2;
    } else {
      i += 3;
    }
  }
  return std::string_view::npos;
}

// Splits a byte stream at its start codes. `data` must outlive it.
class NalUnits {
 public:
  explicit NalUnits(std::string_view data) : data_(data), start_(FindStartCode(data, 0)) {}

  // Whether the stream begins with a start code, before which a few zeros may stand.
  bool begins_with_start_code() const {
    return start_ != std::string_view::npos && start_ <= 8 && data_.find_first_not_of('\0') >= start_;
  }
  // The next one without its start code and the zeros after it; it may be empty. Nothing: that was the last.
  std::optional<std::string_view> Next() {
    if (start_ == std::string_view::npos) return std::nullopt;
    start_ += kNalStartCode.size();
    const size_t next = FindStartCode(data_, start_);
    const std::string_view nal = data_.substr(start_, next == std::string_view::npos ? next : next - start_);
    start_ = next;
    return nal.substr(0, nal.find_last_not_of('\0') + 1);  // zeros belong to what comes next
  }

 private:
  const std::string_view data_;
  size_t start_;
};

// The first `limit` bytes of a NAL unit's payload, without its 0x03 bytes (section 7.4.1). REQUIRES: `nal` is
// not empty.
inline std::string UnescapeNal(std::string_view nal, size_t limit) {
  std::string rbsp;
  int zeros = 0;
  for (const char byte : nal.substr(1)) {
    if (rbsp.size() == limit) break;
    if (zeros >= 2 && byte == 3) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    rbsp += byte;
  }
  return rbsp;
}

}  // namespace parley::streaming

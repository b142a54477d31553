#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "streaming/video/picture_header.h"

namespace parley::streaming {
namespace {

uint8_t U8(std::string_view data, size_t at) { return static_cast<uint8_t>(data[at]); }

// Most significant bit first. Past the end it reads zeros and `overrun` is true.
class BitReader {
 public:
  explicit BitReader(std::string_view data) : data_(data) {}

  uint32_t Bits(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i) {
      const bool bit = at_ / 8 < data_.size() && (U8(data_, at_ / 8) >> (7 - at_ % 8) & 1);
      value = value << 1 | bit;
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

void SkipScalingList(BitReader& bits, int size) {
  int last = 8;
  int next = 8;
  for (int i = 0; i < size && !bits.overrun(); ++i) {
    if (next != 0) next = (last + bits.SignedGolomb() + 256) & 255;
    if (next != 0) last = next;
  }
}

// Sequence parameter set, ITU-T H.264 section 7.3.2.1.1, as far as the size; `rbsp` without the NAL header
// and without emulation prevention.
absl::Status ReadH264Sps(std::string_view rbsp, PictureHeader* header) {
  BitReader bits(rbsp);
  const uint32_t profile = bits.Bits(8);
  bits.Bits(16);  // constraints, level
  bits.Golomb();  // id
  uint32_t chroma = 1;
  constexpr std::array<uint32_t, 13> kHighProfiles = {100, 110, 122, 244, 44,  83, 86,
                                                      118, 128, 138, 139, 134, 135};
  if (std::find(kHighProfiles.begin(), kHighProfiles.end(), profile) != kHighProfiles.end()) {
    chroma = bits.Golomb();
    if (chroma == 3) bits.Bit();  // separate planes
    bits.Golomb();                // bit depths
    bits.Golomb();
    bits.Bit();        // lossless
    if (bits.Bit()) {  // scaling matrices
      for (int i = 0; i < (chroma == 3 ? 12 : 8); ++i) {
        if (bits.Bit()) SkipScalingList(bits, i < 6 ? 16 : 64);
      }
    }
  }
  bits.Golomb();  // frame number bits
  const uint32_t order_type = bits.Golomb();
  if (order_type == 0) {
    bits.Golomb();
  } else if (order_type == 1) {
    bits.Bit();
    bits.Golomb();
    bits.Golomb();
    const uint32_t cycle = bits.Golomb();
    for (uint32_t i = 0; i < cycle && !bits.overrun(); ++i) bits.Golomb();
  }
  bits.Golomb();  // reference frames
  bits.Bit();     // gaps allowed
  const int64_t width = (int64_t{bits.Golomb()} + 1) * 16;
  const int64_t height_units = (int64_t{bits.Golomb()} + 1) * 16;
  const int64_t height = bits.Bit() ? height_units : 2 * height_units;  // frames only, or fields
  if (bits.overrun()) return absl::InvalidArgumentError("an H.264 parameter set that is cut short");
  header->width = std::max(header->width, width);
  header->height = std::max(header->height, height);
  return absl::OkStatus();
}

// The start of a NAL unit's payload without its 0x03 bytes (section 7.4.1).
std::string_view Unescape(std::string_view nal, std::array<char, 1024>* buffer) {
  size_t size = 0;
  int zeros = 0;
  for (const char byte : nal) {
    if (size == buffer->size()) break;
    if (zeros >= 2 && byte == 3) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    (*buffer)[size++] = byte;
  }
  return std::string_view(buffer->data(), size);
}

// Whether a supplemental information unit names a recovery point (section D.1): a stream without IDR pictures
// (periodic intra refresh, open groups) can be joined there.
bool HasRecoveryPoint(std::string_view rbsp) {
  size_t at = 0;
  while (at + 2 < rbsp.size()) {
    uint32_t type = 0;
    uint32_t size = 0;
    while (at < rbsp.size() && U8(rbsp, at) == 0xff) type += U8(rbsp, at++);
    if (at < rbsp.size()) type += U8(rbsp, at++);
    while (at < rbsp.size() && U8(rbsp, at) == 0xff) size += U8(rbsp, at++);
    if (at < rbsp.size()) size += U8(rbsp, at++);
    if (type == 6) return true;
    at += size;
  }
  return false;
}

absl::StatusOr<PictureHeader> ReadH264(std::string_view data, std::vector<std::string_view>* essential) {
  PictureHeader header{.key_frame = false};
  bool slices = false;
  std::array<char, 1024> buffer;
  size_t start = data.find(std::string_view("\0\0\1", 3));
  if (start > 8 || data.find_first_not_of('\0') < start) {
    return absl::InvalidArgumentError("H.264 without an Annex B start code");
  }
  while (start != std::string_view::npos) {
    start += 3;
    const size_t next = data.find(std::string_view("\0\0\1", 3), start);
    const std::string_view nal = data.substr(start, next == std::string_view::npos ? next : next - start);
    const std::string_view with_start_code = data.substr(start - 3, nal.size() + 3);
    start = next;
    if (nal.empty()) continue;
    bool keep = true;
    switch (U8(nal, 0) & 0x1f) {
      case 7:
        if (absl::Status status = ReadH264Sps(Unescape(nal.substr(1), &buffer), &header); !status.ok())
          return status;
        break;
      case 6:
        keep = HasRecoveryPoint(Unescape(nal.substr(1), &buffer));
        header.key_frame |= keep;
        break;
      case 5:
        header.key_frame = true;
        slices = true;
        break;
      case 1:
      case 2:
        slices = true;
        break;
      case 3:
      case 4:
      case 8:
        break;
      default:
        keep = false;
    }
    if (keep) essential->push_back(with_start_code);
  }
  if (!slices) return absl::InvalidArgumentError("an H.264 access unit without a picture");
  return header;
}

// RFC 6386 section 9.1.
absl::StatusOr<PictureHeader> ReadVp8(std::string_view data) {
  PictureHeader header{.key_frame = data.size() > 0 && (U8(data, 0) & 1) == 0};
  if (data.size() < 3) return absl::InvalidArgumentError("a VP8 frame that is cut short");
  if (!header.key_frame) return header;
  if (data.size() < 10 || data.substr(3, 3) != "\x9d\x01\x2a") {
    return absl::InvalidArgumentError("a VP8 key frame without its start code");
  }
  header.width = (U8(data, 6) | U8(data, 7) << 8) & 0x3fff;
  header.height = (U8(data, 8) | U8(data, 9) << 8) & 0x3fff;
  if (header.width == 0 || header.height == 0) {
    return absl::InvalidArgumentError("a VP8 frame of no width or height");
  }
  return header;
}

// VP9 bitstream specification 0.6, section 6.2.
absl::StatusOr<PictureHeader> ReadVp9(std::string_view data) {
  PictureHeader header{.key_frame = false};
  BitReader bits(data);
  if (bits.Bits(2) != 2) return absl::InvalidArgumentError("a VP9 frame without its marker");
  uint32_t profile = bits.Bits(1);
  profile |= bits.Bits(1) << 1;
  if (profile == 3 && bits.Bit()) return absl::InvalidArgumentError("a VP9 frame of an unknown profile");
  if (bits.Bit()) return header;   // shows an earlier frame
  header.key_frame = !bits.Bit();  // frame type
  bits.Bits(2);                    // show, error resilience
  if (!header.key_frame) return header;
  if (bits.Bits(24) != 0x498342) return absl::InvalidArgumentError("a VP9 key frame without its start code");
  if (profile >= 2) bits.Bit();  // bit depth
  constexpr uint32_t kRgb = 7;
  if (bits.Bits(3) != kRgb) {
    bits.Bit();                     // range
    if (profile & 1) bits.Bits(3);  // subsampling, reserved
  } else if (profile & 1) {
    bits.Bit();
  }
  header.width = int64_t{bits.Bits(16)} + 1;
  header.height = int64_t{bits.Bits(16)} + 1;
  if (bits.overrun()) return absl::InvalidArgumentError("a VP9 frame that is cut short");
  return header;
}

}  // namespace

absl::StatusOr<PictureHeader> ReadStreamHeader(VideoCodec codec, std::string_view data,
                                               std::vector<std::string_view>* essential) {
  if (codec == VideoCodec::kH264) return ReadH264(data, essential);
  essential->push_back(data);
  switch (codec) {
    case VideoCodec::kVp8:
      return ReadVp8(data);
    case VideoCodec::kVp9:
      return ReadVp9(data);
    default:
      return absl::InvalidArgumentError(absl::StrCat(CodecName(codec), " is no video stream"));
  }
}

}  // namespace parley::streaming

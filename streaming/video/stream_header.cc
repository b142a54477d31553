#include "absl/strings/str_cat.h"
#include "streaming/video/bit_reader.h"
#include "streaming/video/picture_header.h"

namespace parley::streaming {
namespace {

uint8_t U8(std::string_view data, size_t at) { return static_cast<uint8_t>(data[at]); }

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

// A side of a picture as libvpx keeps it: in whole blocks, with a border.
constexpr int64_t Padded(int64_t side) { return (side + 7) / 8 * 8 + 2 * 32; }

// One frame, VP9 bitstream specification 0.6, section 6.2.
absl::StatusOr<PictureHeader> ReadVp9Frame(std::string_view data, int64_t max_pixels) {
  PictureHeader header{.key_frame = false};
  BitReader bits(data);
  if (bits.Bits(2) != 2) return absl::InvalidArgumentError("a VP9 frame without its marker");
  uint32_t profile = bits.Bits(1);
  profile |= bits.Bits(1) << 1;
  if (profile == 3 && bits.Bit()) return absl::InvalidArgumentError("a VP9 frame of an unknown profile");
  if (bits.Bit()) return header;   // shows an earlier frame
  header.key_frame = !bits.Bit();  // frame type
  const bool shown = bits.Bit();
  const bool error_resilient = bits.Bit();
  bool intra_only = false;
  if (!header.key_frame) {
    intra_only = !shown && bits.Bit();
    if (!error_resilient) bits.Bits(2);  // what of the context is reset
  }
  // In halves: samples of all planes for each of luma.
  int half_samples = 3;
  bool deep = false;
  if (header.key_frame || intra_only) {
    if (bits.Bits(24) != 0x498342)
      return absl::InvalidArgumentError("a VP9 key frame without its start code");
    if (header.key_frame || profile > 0) {
      deep = profile >= 2;
      if (deep) bits.Bit();  // 10 or 12
      constexpr uint32_t kRgb = 7;
      if (bits.Bits(3) != kRgb) {
        bits.Bit();  // range
        if (profile & 1) {
          constexpr int kHalfSamples[] = {6, 4, 4, 3};
          half_samples = kHalfSamples[bits.Bits(2)];
          bits.Bit();
        }
      } else if (profile & 1) {
        half_samples = 6;
        bits.Bit();
      }
    }
    if (intra_only) bits.Bits(8);  // which references it replaces
  } else {
    bits.Bits(8 + 3 * (3 + 1));
    for (int reference = 0; reference < 3; ++reference) {
      if (bits.Bit()) return header;  // of the same size as a reference
    }
  }
  header.width = int64_t{bits.Bits(16)} + 1;
  header.height = int64_t{bits.Bits(16)} + 1;
  if (bits.overrun()) return absl::InvalidArgumentError("a VP9 frame that is cut short");
  if (absl::Status status = CheckSize(header.width, header.height, max_pixels); !status.ok()) return status;
  const int64_t picture_bytes =
      Padded(header.width) * Padded(header.height) * half_samples * (deep ? 2 : 1) / 2;
  constexpr int kReferences = 8;
  if (absl::Status status = CheckPictureBytes(picture_bytes, kReferences + 2, max_pixels); !status.ok()) {
    return status;
  }
  return header;
}

// Annex B: a superframe ends with the sizes of its frames, at most eight.
absl::StatusOr<PictureHeader> ReadVp9(std::string_view data, int64_t max_pixels) {
  if (data.empty()) return absl::InvalidArgumentError("a VP9 frame that is cut short");
  const uint8_t marker = U8(data, data.size() - 1);
  const size_t size_bytes = 1 + (marker >> 3 & 3);
  const size_t frames = 1 + (marker & 7);
  const size_t index_bytes = 2 + frames * size_bytes;
  if ((marker & 0xe0) != 0xc0 || data.size() < index_bytes || U8(data, data.size() - index_bytes) != marker) {
    return ReadVp9Frame(data, max_pixels);
  }
  size_t index = data.size() - index_bytes + 1;
  size_t at = 0;
  const size_t end = data.size() - index_bytes;
  PictureHeader first;
  for (size_t frame = 0; frame < frames; ++frame) {
    size_t size = 0;
    for (size_t i = 0; i < size_bytes; ++i) size |= size_t{U8(data, index++)} << (8 * i);
    if (size == 0 || size > end - at) return absl::InvalidArgumentError("a VP9 superframe of wrong sizes");
    const auto header = ReadVp9Frame(data.substr(at, size), max_pixels);
    if (!header.ok()) return header;
    if (frame == 0) first = *header;
    first.superframe = true;
    at += size;
  }
  return first;
}

}  // namespace

std::array<char, 6> Vp9IndexOfOne(size_t frame_bytes) {
  constexpr char kMarker = '\xd8';  // one frame, four bytes for its size
  std::array<char, 6> index = {kMarker, 0, 0, 0, 0, kMarker};
  for (int i = 0; i < 4; ++i) index[1 + i] = static_cast<char>(frame_bytes >> 8 * i);
  return index;
}

absl::StatusOr<PictureHeader> ReadStreamHeader(VideoCodec codec, std::string_view data, int64_t max_pixels) {
  switch (codec) {
    case VideoCodec::kVp8: {
      const auto header = ReadVp8(data);
      if (!header.ok()) return header;
      if (absl::Status status = CheckSize(header->width, header->height, max_pixels); !status.ok()) {
        return status;
      }
      return header;
    }
    case VideoCodec::kVp9:
      return ReadVp9(data, max_pixels);
    default:
      return absl::InvalidArgumentError(absl::StrCat(CodecName(codec), " is no video stream"));
  }
}

}  // namespace parley::streaming

// What an encoded picture says of itself before a decoder is let near it: its size, whether it is a key
// frame, whether it is all there. Reads, allocates nothing of the picture's size, and trusts nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "streaming/video/video_input.h"

namespace parley::streaming {

struct PictureHeader {
  int64_t width = 0;  // 0: this frame does not tell (it goes on from an earlier one)
  int64_t height = 0;
  bool key_frame = true;
  bool superframe = false;  // VP9: the message ends with an index of its frames
};

// The memory that a decoder may keep pictures in, all of them together, for pictures of at most `max_pixels`:
// ten of 8-bit 4:2:0 at that size, and many of what a camera sends. 256 MiB at 4096 x 4096.
constexpr int64_t PictureBytesAllowed(int64_t max_pixels) {
  constexpr int64_t kBytesPerPixel = 16;
  constexpr int64_t kLeast = 16 << 20;  // rows and planes are padded
  return std::max(kLeast, kBytesPerPixel * max_pixels);
}

// RESOURCE_EXHAUSTED: over `max_pixels`. A width or height of 0 passes.
absl::Status CheckSize(int64_t width, int64_t height, int64_t max_pixels);
// RESOURCE_EXHAUSTED: `pictures` of `picture_bytes` are more than PictureBytesAllowed.
absl::Status CheckPictureBytes(int64_t picture_bytes, int64_t pictures, int64_t max_pixels);

// "PNG": what the bytes look like by their first few; empty when like nothing we know.
const char* PictureKind(std::string_view data);
const char* CodecName(VideoCodec codec);

// VP8 (RFC 6386), VP9 (bitstream specification 0.6); of H.264 see h264_stream.h. INVALID_ARGUMENT: not a
// frame of this codec. RESOURCE_EXHAUSTED: over max_pixels, or over PictureBytesAllowed with the references
// that the codec keeps.
absl::StatusOr<PictureHeader> ReadStreamHeader(VideoCodec codec, std::string_view data, int64_t max_pixels);
// What makes a superframe of one VP9 frame of so many bytes, put after it (Annex B): what a decoder finds
// past the frame's end, in the frame's own bytes, is then no other frame, whose header nobody has read.
std::array<char, 6> Vp9IndexOfOne(size_t frame_bytes);

}  // namespace parley::streaming

// What an encoded picture says of itself before a decoder is let near it: its size, whether it is a key
// frame, whether it is all there. Reads, allocates nothing of the picture's size, and trusts nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "streaming/video/video_input.h"

namespace parley::streaming {

struct PictureHeader {
  int64_t width = 0;  // 0: this frame does not tell (it goes on from an earlier one)
  int64_t height = 0;
  bool key_frame = true;
};

// "PNG": what the bytes look like by their first few; empty when like nothing we know.
const char* PictureKind(std::string_view data);
const char* CodecName(VideoCodec codec);

// JPEG (ITU-T T.81), PNG (ISO 15948), WebP (RFC 9649). `essential` gets the parts of `data` that make the
// picture, in order: text, colour profiles and EXIF stay out, since they can unpack to any size and hide
// damage. INVALID_ARGUMENT: another kind of file, cut short, or of a form that is not taken (animations; more
// than kMaxJpegScans scans, each of which costs a pass over the picture).
inline constexpr int kMaxJpegScans = 100;
absl::StatusOr<PictureHeader> ReadStillHeader(VideoCodec codec, std::string_view data,
                                              std::vector<std::string_view>* essential);

// H.264 Annex B (ITU-T H.264), VP8 (RFC 6386), VP9 (bitstream specification 0.6). `essential` gets the parts
// of `data` that make the picture, in order: of H.264's supplemental information only recovery points, since
// an encoder that writes the rest of it carelessly would spoil pictures that are whole. INVALID_ARGUMENT: not
// a frame of this codec.
absl::StatusOr<PictureHeader> ReadStreamHeader(VideoCodec codec, std::string_view data,
                                               std::vector<std::string_view>* essential);

}  // namespace parley::streaming

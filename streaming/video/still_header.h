// What an encoded still says of itself before a decoder is let near it, and the parts of it that make the
// picture. Reads, allocates nothing of the picture's size, and trusts nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "streaming/video/exif.h"
#include "streaming/video/picture_header.h"

namespace parley::streaming {

struct StillHeader {
  int64_t width = 0;  // as stored
  int64_t height = 0;
  int orientation = kUpright;  // what EXIF says of it, see exif.h
  // What the decoder needs, in order: parts of the file, valid while that is, and additions. Text, colour
  // profiles and EXIF stay out, since they can unpack to any size and hide damage.
  std::vector<std::string_view> pieces;
  // Not empty: the same with other bytes after the end of what is compressed. A picture that is all there
  // does not depend on them; where the decoder cannot tell, decoding both does.
  std::vector<std::string_view> pieces_again;
  // Where pieces that are not of the file lie.
  std::vector<char> added;
  std::vector<char> added_again;
};

// A scan costs a pass over the picture. Encoders write 10 to 15.
inline constexpr int kMaxJpegScans = 100;
inline constexpr int64_t kMaxJpegScannedPixels = 400'000'000;
// Huffman and quantisation tables: at most 273 bytes each, and some work to build.
inline constexpr size_t kMaxJpegTableBytes = 64 << 10;
inline constexpr int kMaxPngChunks = 65'536;

// JPEG (ITU-T T.81), PNG (ISO 15948), WebP (RFC 9649). INVALID_ARGUMENT: another kind of file; cut short or
// incomplete, as far as can be told without decoding (the rest is told by `pieces`); of a form that is not
// taken (animations). RESOURCE_EXHAUSTED: over max_pixels or one of the limits above
// or of webp_lossless.h.
absl::StatusOr<StillHeader> ReadStillHeader(VideoCodec codec, std::string_view data, int64_t max_pixels);

// Of the kind that their name says; `data` begins with its signature.
absl::StatusOr<StillHeader> ReadJpegHeader(std::string_view data, int64_t max_pixels);
absl::StatusOr<StillHeader> ReadPngHeader(std::string_view data, int64_t max_pixels);
absl::StatusOr<StillHeader> ReadWebpHeader(std::string_view data, int64_t max_pixels);

absl::Status CutShort(VideoCodec codec);

}  // namespace parley::streaming

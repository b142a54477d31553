#include "streaming/video/still_header.h"

#include "absl/strings/str_cat.h"

namespace parley::streaming {

absl::Status CutShort(VideoCodec codec) {
  return absl::InvalidArgumentError(absl::StrCat("the ", CodecName(codec), " picture is cut short"));
}

absl::StatusOr<StillHeader> ReadStillHeader(VideoCodec codec, std::string_view data, int64_t max_pixels) {
  const std::string_view kind = PictureKind(data);
  if (kind != CodecName(codec)) {
    return absl::InvalidArgumentError(absl::StrCat("not a ", CodecName(codec), " picture",
                                                   kind.empty() ? "" : ": the bytes are ", kind.data()));
  }
  switch (codec) {
    case VideoCodec::kJpeg:
      return ReadJpegHeader(data, max_pixels);
    case VideoCodec::kPng:
      return ReadPngHeader(data, max_pixels);
    case VideoCodec::kWebp:
      return ReadWebpHeader(data, max_pixels);
    default:
      return absl::InvalidArgumentError(absl::StrCat(CodecName(codec), " is no still picture"));
  }
}

}  // namespace parley::streaming

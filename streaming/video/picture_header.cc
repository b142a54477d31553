#include "streaming/video/picture_header.h"

#include "absl/strings/str_cat.h"

namespace parley::streaming {

using std::string_view_literals::operator""sv;

absl::Status CheckSize(int64_t width, int64_t height, int64_t max_pixels) {
  if (width == 0 || height == 0 || width <= max_pixels / height) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("a picture of ", width, " x ", height, " pixels; at most ", max_pixels, " are taken"));
}

absl::Status CheckPictureBytes(int64_t picture_bytes, int64_t pictures, int64_t max_pixels) {
  const int64_t allowed = PictureBytesAllowed(max_pixels);
  if (picture_bytes <= allowed / pictures) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("the stream keeps ", pictures, " pictures of ",
                                                   picture_bytes, " bytes; at most ", allowed,
                                                   " bytes are taken"));
}

const char* PictureKind(std::string_view data) {
  if (data.starts_with("\xff\xd8\xff"sv)) return "JPEG";
  if (data.starts_with("\x89PNG\r\n\x1a\n"sv)) return "PNG";
  if (data.starts_with("RIFF") && data.size() >= 12 && data.substr(8, 4) == "WEBP") return "WebP";
  if (data.starts_with("GIF8")) return "GIF";
  if (data.starts_with("BM")) return "BMP";
  if (data.size() >= 12 && data.substr(4, 4) == "ftyp") return "ISO media (MP4, HEIF or AVIF)";
  if (data.starts_with("\0\0\0\x01"sv) || data.starts_with("\0\0\x01"sv)) return "H.264 or H.265";
  return "";
}

const char* CodecName(VideoCodec codec) {
  switch (codec) {
    case VideoCodec::kJpeg:
      return "JPEG";
    case VideoCodec::kPng:
      return "PNG";
    case VideoCodec::kWebp:
      return "WebP";
    case VideoCodec::kH264:
      return "H.264";
    case VideoCodec::kVp8:
      return "VP8";
    case VideoCodec::kVp9:
      return "VP9";
  }
  return "unknown";
}

}  // namespace parley::streaming

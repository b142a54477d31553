#include "absl/strings/str_cat.h"
#include "streaming/video/picture_header.h"

namespace parley::streaming {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n"sv;

uint8_t U8(std::string_view data, size_t at) { return static_cast<uint8_t>(data[at]); }
uint32_t Big16(std::string_view data, size_t at) { return U8(data, at) << 8 | U8(data, at + 1); }
uint32_t Big32(std::string_view data, size_t at) { return Big16(data, at) << 16 | Big16(data, at + 2); }
uint32_t Little16(std::string_view data, size_t at) { return U8(data, at) | U8(data, at + 1) << 8; }
uint32_t Little24(std::string_view data, size_t at) { return Little16(data, at) | U8(data, at + 2) << 16; }
uint32_t Little32(std::string_view data, size_t at) {
  return Little16(data, at) | Little16(data, at + 2) << 16;
}

absl::Status CutShort(VideoCodec codec) {
  return absl::InvalidArgumentError(absl::StrCat("the ", CodecName(codec), " picture is cut short"));
}

absl::StatusOr<PictureHeader> ReadJpeg(std::string_view data, std::vector<std::string_view>* essential) {
  PictureHeader header;
  int scans = 0;
  size_t at = 2;
  essential->push_back(data.substr(0, 2));
  while (true) {
    // A marker: 0xff, as many more of them as one likes, then its code.
    while (at + 1 < data.size() && U8(data, at) == 0xff && U8(data, at + 1) == 0xff) ++at;
    if (at + 1 >= data.size()) return CutShort(VideoCodec::kJpeg);
    const uint8_t code = U8(data, at + 1);
    if (U8(data, at) != 0xff || code == 0)
      return absl::InvalidArgumentError("a JPEG picture without its markers");
    if (code == 0xd9) {  // end of image
      if (scans == 0) return absl::InvalidArgumentError("a JPEG picture without a scan");
      essential->push_back(data.substr(at, 2));
      return header;
    }
    if (code == 0x01 || (code >= 0xd0 && code <= 0xd8)) {  // stand alone
      at += 2;
      continue;
    }
    if (at + 4 > data.size()) return CutShort(VideoCodec::kJpeg);
    const size_t length = 2 + Big16(data, at + 2);
    if (length < 4) return absl::InvalidArgumentError("a JPEG segment that is shorter than its header");
    if (length > data.size() - at) return CutShort(VideoCodec::kJpeg);
    const bool frame = code >= 0xc0 && code <= 0xcf && code != 0xc4 && code != 0xc8 && code != 0xcc;
    if (frame) {
      if (length < 10) return absl::InvalidArgumentError("a JPEG frame header without a size");
      if (header.width != 0) return absl::InvalidArgumentError("a JPEG picture with a second frame");
      header.height = Big16(data, at + 5);
      header.width = Big16(data, at + 7);
      if (header.width == 0 || header.height == 0) {
        return absl::InvalidArgumentError("a JPEG picture of no width or height");
      }
    }
    // Comments and what applications add stay out, but for the two that say how colours are coded.
    size_t end = at + length;
    const bool addition = (code > 0xe0 && code <= 0xef && code != 0xee) || code == 0xfe;
    if (code == 0xda) {
      if (header.width == 0) return absl::InvalidArgumentError("a JPEG scan before the picture's size");
      if (++scans > kMaxJpegScans) {
        return absl::InvalidArgumentError(absl::StrCat("a JPEG picture with over ", kMaxJpegScans, " scans"));
      }
      while (true) {  // to the next marker that is neither a stuffed byte nor a restart
        end = data.find('\xff', end);
        if (end == std::string_view::npos || end + 1 >= data.size()) return CutShort(VideoCodec::kJpeg);
        const uint8_t next = U8(data, end + 1);
        if (next != 0 && next != 0xff && (next < 0xd0 || next > 0xd7)) break;
        end += next == 0xff ? 1 : 2;
      }
    }
    if (!addition) essential->push_back(data.substr(at, end - at));
    at = end;
  }
}

absl::StatusOr<PictureHeader> ReadPng(std::string_view data, std::vector<std::string_view>* essential) {
  PictureHeader header;
  size_t at = kPngSignature.size();
  essential->push_back(data.substr(0, at));
  while (true) {
    if (data.size() - at < 12) return CutShort(VideoCodec::kPng);
    const uint32_t length = Big32(data, at);
    const std::string_view type = data.substr(at + 4, 4);
    if (header.width == 0) {
      if (type != "IHDR" || length != 13)
        return absl::InvalidArgumentError("a PNG picture without its header");
      if (data.size() - at < 12 + 13) return CutShort(VideoCodec::kPng);
      header.width = Big32(data, at + 8);
      header.height = Big32(data, at + 12);
      if (header.width == 0 || header.height == 0) {
        return absl::InvalidArgumentError("a PNG picture of no width or height");
      }
    }
    if (length > data.size() - at - 12) return CutShort(VideoCodec::kPng);
    if (type == "IHDR" || type == "PLTE" || type == "tRNS" || type == "IDAT" || type == "IEND") {
      essential->push_back(data.substr(at, 12 + length));
    }
    if (type == "IEND") return header;
    at += 12 + length;
  }
}

absl::StatusOr<PictureHeader> ReadWebp(std::string_view data, std::vector<std::string_view>* essential) {
  if (data.size() < 30) return CutShort(VideoCodec::kWebp);
  const uint64_t riff_bytes = uint64_t{8} + Little32(data, 4);
  if (riff_bytes > data.size()) return CutShort(VideoCodec::kWebp);
  if (riff_bytes < 30) return absl::InvalidArgumentError("a WebP picture without a frame");
  const std::string_view type = data.substr(12, 4);
  PictureHeader header;
  if (type == "VP8X") {
    if (U8(data, 20) & 0x02) return absl::InvalidArgumentError("an animated WebP picture");
    header.width = Little24(data, 24) + 1;
    header.height = Little24(data, 27) + 1;
  } else if (type == "VP8L") {
    const uint32_t sizes = Little32(data, 21);
    header.width = (sizes & 0x3fff) + 1;
    header.height = (sizes >> 14 & 0x3fff) + 1;
  } else if (type == "VP8 ") {
    header.width = Little16(data, 26) & 0x3fff;
    header.height = Little16(data, 28) & 0x3fff;
  } else {
    return absl::InvalidArgumentError("a WebP picture without a frame");
  }
  essential->push_back(data.substr(0, riff_bytes));
  return header;
}

}  // namespace

absl::StatusOr<PictureHeader> ReadStillHeader(VideoCodec codec, std::string_view data,
                                              std::vector<std::string_view>* essential) {
  const std::string_view kind = PictureKind(data);
  if (kind != CodecName(codec)) {
    return absl::InvalidArgumentError(absl::StrCat("not a ", CodecName(codec), " picture",
                                                   kind.empty() ? "" : ": the bytes are ", kind.data()));
  }
  switch (codec) {
    case VideoCodec::kJpeg:
      return ReadJpeg(data, essential);
    case VideoCodec::kPng:
      return ReadPng(data, essential);
    case VideoCodec::kWebp:
      return ReadWebp(data, essential);
    default:
      return absl::InvalidArgumentError(absl::StrCat(CodecName(codec), " is no still picture"));
  }
}

}  // namespace parley::streaming

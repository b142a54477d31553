#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "streaming/video/bytes.h"
#include "streaming/video/still_header.h"
#include "streaming/video/webp_lossless.h"

namespace parley::streaming {
namespace {

// What may follow the end of what is compressed. Without it a decoder reads zeros there: one that needs them
// sees other pixels, or an error.
const std::string kTail(65, '\xff');
const std::string kNoTail(1, '\0');

absl::Status Damaged(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("a damaged WebP picture: ", what));
}

void AppendLittle(uint32_t value, int bytes, std::string* to) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<char>(value >> 8 * i));
}

struct Chunks {
  std::optional<std::string_view> extended;
  std::optional<std::string_view> alpha;
  std::string_view image_type;
  std::string_view image;
};

absl::Status ReadChunks(std::string_view data, int64_t max_pixels, Chunks* chunks, int* orientation) {
  if (data.size() < 20) return CutShort(VideoCodec::kWebp);
  const uint64_t riff_bytes = uint64_t{8} + Little32(data, 4);
  if (riff_bytes > data.size()) return CutShort(VideoCodec::kWebp);
  if (riff_bytes < 20) return Damaged("no frame");
  data = data.substr(0, riff_bytes);
  size_t at = 12;
  while (data.size() - at >= 8) {
    const std::string_view type = data.substr(at, 4);
    const size_t length = Little32(data, at + 4);
    at += 8;
    if (length > data.size() - at) return CutShort(VideoCodec::kWebp);
    const std::string_view body = data.substr(at, length);
    at = std::min(at + length + length % 2, data.size());
    if (type == "VP8X") {
      if (chunks->extended || !chunks->image_type.empty())
        return Damaged("a header that is not its first chunk");
      if (length < 10) return CutShort(VideoCodec::kWebp);
      if (U8(body, 0) & 0x02) return absl::InvalidArgumentError("an animated WebP picture");
      absl::Status status = CheckSize(Little24(body, 4) + 1, Little24(body, 7) + 1, max_pixels);
      if (!status.ok()) return status;
      chunks->extended = body;
    } else if (type == "ALPH") {
      if (chunks->alpha || !chunks->image_type.empty())
        return Damaged("alpha that is there twice or too late");
      chunks->alpha = body;
    } else if (type == "VP8 " || type == "VP8L") {
      if (!chunks->image_type.empty()) return Damaged("a second frame");
      chunks->image_type = type;
      chunks->image = body;
    } else if (type == "EXIF") {
      *orientation = ExifOrientation(body);
    } else if (type == "ANIM" || type == "ANMF") {
      return absl::InvalidArgumentError("an animated WebP picture");
    }
  }
  if (chunks->image_type.empty()) return Damaged("no frame");
  return absl::OkStatus();
}

// Sizes of the frame itself: RFC 6386 section 9.1, RFC 9649 section 3.4.
absl::Status ReadSize(const Chunks& chunks, int64_t max_pixels, StillHeader* header) {
  const std::string_view image = chunks.image;
  if (chunks.image_type == "VP8L") {
    if (image.size() < 5) return CutShort(VideoCodec::kWebp);
    const uint32_t sizes = Little32(image, 1);
    header->width = (sizes & 0x3fff) + 1;
    header->height = (sizes >> 14 & 0x3fff) + 1;
  } else {
    if (image.size() < 10) return CutShort(VideoCodec::kWebp);
    header->width = Little16(image, 6) & 0x3fff;
    header->height = Little16(image, 8) & 0x3fff;
    if (header->width == 0 || header->height == 0) return Damaged("no width or height");
  }
  if (absl::Status status = CheckSize(header->width, header->height, max_pixels); !status.ok()) return status;
  if (chunks.extended && (header->width != Little24(*chunks.extended, 4) + 1 ||
                          header->height != Little24(*chunks.extended, 7) + 1)) {
    return Damaged("its frame has another size than its canvas");
  }
  return absl::OkStatus();
}

// The file written anew, without what does not make the picture. `added` gets what is not of the file.
std::vector<std::string_view> Container(const Chunks& chunks, const StillHeader& header, bool with_tails,
                                        std::vector<char>* added) {
  const auto tail_of = [with_tails](std::string_view body) {
    const std::string_view tail = with_tails ? kTail : kNoTail;  // both odd
    return tail.substr(0, tail.size() - 1 + body.size() % 2);    // chunks are of even size
  };
  std::string frame;
  const auto begin_chunk = [&](std::string_view type, std::string_view body) {
    frame += type;
    AppendLittle(static_cast<uint32_t>(body.size() + tail_of(body).size()), 4, &frame);
  };
  size_t body_bytes = chunks.image.size() + tail_of(chunks.image).size();
  if (chunks.alpha) {
    body_bytes += chunks.alpha->size() + tail_of(*chunks.alpha).size();
    constexpr uint32_t kAlphaFlag = 0x10;
    frame += "VP8X";
    AppendLittle(10, 4, &frame);
    AppendLittle(kAlphaFlag, 4, &frame);
    AppendLittle(static_cast<uint32_t>(header.width - 1), 3, &frame);
    AppendLittle(static_cast<uint32_t>(header.height - 1), 3, &frame);
    begin_chunk("ALPH", *chunks.alpha);
  }
  const size_t before_image = frame.size();
  begin_chunk(chunks.image_type, chunks.image);
  std::string text = "RIFF";
  AppendLittle(static_cast<uint32_t>(4 + frame.size() + body_bytes), 4, &text);
  text += "WEBP";
  const size_t riff_header = text.size();
  text += frame;
  *added = std::vector<char>(text.begin(), text.end());

  const std::string_view all(added->data(), added->size());
  std::vector<std::string_view> pieces;
  if (chunks.alpha) {
    pieces.push_back(all.substr(0, riff_header + before_image));
    pieces.push_back(*chunks.alpha);
    pieces.push_back(tail_of(*chunks.alpha));
    pieces.push_back(all.substr(riff_header + before_image));
  } else {
    pieces.push_back(all);
  }
  pieces.push_back(chunks.image);
  pieces.push_back(tail_of(chunks.image));
  return pieces;
}

}  // namespace

absl::StatusOr<StillHeader> ReadWebpHeader(std::string_view data, int64_t max_pixels) {
  StillHeader header;
  Chunks chunks;
  if (absl::Status status = ReadChunks(data, max_pixels, &chunks, &header.orientation); !status.ok())
    return status;
  if (absl::Status status = ReadSize(chunks, max_pixels, &header); !status.ok()) return status;
  constexpr size_t kLosslessHeaderBytes = 5;
  absl::Status lossless;
  if (chunks.image_type == "VP8L") {
    lossless = CheckPrefixCodeGroups(chunks.image.substr(kLosslessHeaderBytes), header.width, header.height);
  }
  if (chunks.alpha) {
    // What is not understood here would be seen through.
    if (chunks.image_type == "VP8L") return Damaged("alpha beside a lossless frame, which has its own");
    if (chunks.alpha->empty() || (U8(*chunks.alpha, 0) & 3) > 1) return Damaged("alpha of an unknown form");
    const std::string_view plane = chunks.alpha->substr(1);
    const bool raw = (U8(*chunks.alpha, 0) & 3) == 0;
    if (raw && static_cast<int64_t>(plane.size()) < header.width * header.height) {
      return CutShort(VideoCodec::kWebp);
    }
    if (!raw) lossless = CheckPrefixCodeGroups(plane, header.width, header.height);
  }
  if (!lossless.ok()) return lossless;

  header.pieces = Container(chunks, header, /*with_tails=*/false, &header.added);
  header.pieces_again = Container(chunks, header, /*with_tails=*/true, &header.added_again);
  return header;
}

}  // namespace parley::streaming

#include <zlib.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "streaming/video/bytes.h"
#include "streaming/video/still_header.h"

namespace parley::streaming {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kChunkBytes = 12;  // length, type, checksum

absl::Status Damaged(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("a damaged PNG picture: ", what));
}

// What the image data inflate to: a filter byte and the pixels of each row, section 8 for interlaced ones.
// `ihdr`: the 13 bytes of its chunk. 0: a form that PNG does not have.
int64_t ImageBytes(std::string_view ihdr) {
  constexpr std::array<int, 7> kSamples = {1, 0, 3, 1, 2, 0, 4};  // by colour type
  const uint32_t colour = U8(ihdr, 9);
  const int64_t bits = colour < kSamples.size() ? U8(ihdr, 8) * kSamples[colour] : 0;
  if (bits == 0 || bits > 64 || U8(ihdr, 12) > 1) return 0;
  const int64_t width = Big32(ihdr, 0);
  const int64_t height = Big32(ihdr, 4);
  const auto bytes = [bits](int64_t columns, int64_t rows) {
    return columns == 0 ? 0 : rows * (1 + (columns * bits + 7) / 8);
  };
  if (U8(ihdr, 12) == 0) return bytes(width, height);
  struct Pass {
    int x, y, step_x, step_y;
  };
  constexpr Pass kPasses[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                              {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
  int64_t sum = 0;
  for (const Pass& pass : kPasses) {
    const auto count = [](int64_t size, int first, int step) { return (size - first + step - 1) / step; };
    sum += bytes(count(width, pass.x, pass.step_x), count(height, pass.y, pass.step_y));
  }
  return sum;
}

// Whether `parts` inflate to `bytes` or more. libavcodec shows a picture whatever the number of its rows.
class Inflater {
 public:
  Inflater() : ready_(inflateInit(&stream_) == Z_OK) {}
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  absl::Status Check(const std::vector<std::string_view>& parts, int64_t bytes) {
    if (!ready_) return absl::ResourceExhaustedError("no memory for a picture");
    std::array<Bytef, 32 << 10> out;
    for (const std::string_view part : parts) {
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
      stream_.avail_in = static_cast<uInt>(part.size());
      do {
        stream_.next_out = out.data();
        stream_.avail_out = static_cast<uInt>(out.size());
        const int result = inflate(&stream_, Z_NO_FLUSH);
        bytes -= static_cast<int64_t>(out.size() - stream_.avail_out);
        if (bytes <= 0) return absl::OkStatus();
        if (result == Z_STREAM_END) return Damaged("rows are missing");
        if (result == Z_MEM_ERROR) return absl::ResourceExhaustedError("no memory for a picture");
        if (result != Z_OK && result != Z_BUF_ERROR) return Damaged("its data do not inflate");
      } while (stream_.avail_in > 0 || stream_.avail_out == 0);
    }
    return Damaged("rows are missing");
  }

 private:
  z_stream stream_ = {};
  const bool ready_;
};

}  // namespace

absl::StatusOr<StillHeader> ReadPngHeader(std::string_view data, int64_t max_pixels) {
  StillHeader header;
  std::vector<std::string_view> image_data;
  int64_t image_bytes = 0;
  size_t at = kSignatureBytes;
  int chunks = 0;
  header.pieces.push_back(data.substr(0, at));
  while (true) {
    if (data.size() - at < kChunkBytes) return CutShort(VideoCodec::kPng);
    if (++chunks > kMaxPngChunks) {
      return absl::ResourceExhaustedError(absl::StrCat("a PNG picture of over ", kMaxPngChunks, " chunks"));
    }
    const uint32_t length = Big32(data, at);
    const std::string_view type = data.substr(at + 4, 4);
    if ((chunks == 1) != (type == "IHDR"))
      return Damaged("its header is not its first chunk, or is there twice");
    if (length > data.size() - at - kChunkBytes) return CutShort(VideoCodec::kPng);
    const std::string_view chunk = data.substr(at, kChunkBytes + length);
    const std::string_view body = chunk.substr(8, length);
    at += chunk.size();
    if (type == "IHDR") {
      if (length != 13) return Damaged("a header of wrong length");
      header.width = Big32(body, 0);
      header.height = Big32(body, 4);
      if (header.width == 0 || header.height == 0) return Damaged("no width or height");
      if (absl::Status status = CheckSize(header.width, header.height, max_pixels); !status.ok())
        return status;
      image_bytes = ImageBytes(body);
      if (image_bytes == 0) return Damaged("a form that PNG does not have");
    } else if (type == "IDAT") {
      image_data.push_back(body);
    } else if (type == "eXIf") {
      const auto checksum = crc32(0, reinterpret_cast<const Bytef*>(chunk.data() + 4), length + 4);
      if (checksum == Big32(chunk, 8 + length)) header.orientation = ExifOrientation(body);
      continue;
    } else if (type != "PLTE" && type != "tRNS" && type != "IEND") {
      // Bit 5 of the first letter: the picture can be shown without it.
      if ((U8(type, 0) & 0x20) == 0) return Damaged("a chunk that is not known and has to be");
      continue;
    }
    header.pieces.push_back(chunk);
    if (type == "IEND") break;
  }
  if (absl::Status status = Inflater().Check(image_data, image_bytes); !status.ok()) return status;
  return header;
}

}  // namespace parley::streaming

#include <zlib.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "streaming/video/bytes.h"
#include "streaming/video/still_header.h"

namespace parley::streaming {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kChunkBytes = 12;  // length, type, checksum
constexpr size_t kHeaderBytes = 13;
constexpr uint8_t kGreyColour = 0;
constexpr uint8_t kPaletteColour = 3;

absl::Status Damaged(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("a damaged PNG picture: ", what));
}

// Rows of one length, one after the other.
struct Rows {
  int64_t count = 0;
  int64_t bytes = 0;  // of each, its filter's type included
};

// What the image data inflate to: all rows, or those of each pass of an interlaced picture (section 8).
// `ihdr`: the 13 bytes of its chunk. Empty: a form that PNG does not have.
std::vector<Rows> ImageRows(std::string_view ihdr) {
  constexpr std::array<int, 7> kSamples = {1, 0, 3, 1, 2, 0, 4};  // by colour type
  const uint32_t colour = U8(ihdr, 9);
  const int64_t bits = colour < kSamples.size() ? U8(ihdr, 8) * kSamples[colour] : 0;
  if (bits == 0 || bits > 64 || U8(ihdr, 12) > 1) return {};
  struct Pass {
    int x, y, step_x, step_y;
  };
  constexpr std::array<Pass, 1> kWhole = {{{0, 0, 1, 1}}};
  constexpr std::array<Pass, 7> kInterlaced = {
      {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}};
  const auto count = [](int64_t size, int first, int step) { return (size - first + step - 1) / step; };
  std::vector<Rows> all;
  for (const Pass& pass :
       U8(ihdr, 12) == 0 ? absl::MakeConstSpan(kWhole) : absl::MakeConstSpan(kInterlaced)) {
    const int64_t columns = count(Big32(ihdr, 0), pass.x, pass.step_x);
    const int64_t rows = count(Big32(ihdr, 4), pass.y, pass.step_y);
    if (columns > 0 && rows > 0) all.push_back({rows, 1 + (columns * bits + 7) / 8});
  }
  return all;
}

// Looks at what inflates, piece by piece: that all rows are there, and that each names a filter that there
// is. libavcodec shows a picture whatever the number of its rows, and leaves out those of other filters.
class RowCheck {
 public:
  explicit RowCheck(std::vector<Rows> rows) : rows_(std::move(rows)) {}

  bool complete() const { return at_ == rows_.size(); }
  // False: a row is damaged. What follows the last row does not count.
  bool Push(const uint8_t* data, int64_t size) {
    constexpr uint8_t kLastFilter = 4;  // section 9.2
    while (size > 0 && !complete()) {
      const int64_t row_bytes = rows_[at_].bytes;
      if (in_row_ == 0 && *data > kLastFilter) return false;
      const int64_t step = std::min(size, row_bytes - in_row_);
      data += step;
      size -= step;
      in_row_ += step;
      if (in_row_ < row_bytes) break;
      in_row_ = 0;
      if (--rows_[at_].count == 0) ++at_;
    }
    return true;
  }

 private:
  std::vector<Rows> rows_;  // those that are still to come
  size_t at_ = 0;           // what of `rows_` is next
  int64_t in_row_ = 0;      // bytes of the row that begun
};

bool SumIsRight(std::string_view chunk) {
  const size_t end = chunk.size() - 4;
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(chunk.data() + 4), static_cast<uInt>(end - 4));
  return sum == Big32(chunk, end);
}

void AppendBig32(uint32_t value, std::string* to) {
  for (int shift = 24; shift >= 0; shift -= 8) *to += static_cast<char>(value >> shift);
}

void AppendChunk(const char* type, const std::string& body, std::string* to) {
  AppendBig32(static_cast<uint32_t>(body.size()), to);
  const size_t summed = to->size();
  absl::StrAppend(to, type, body);
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(to->data() + summed), static_cast<uInt>(to->size() - summed));
  AppendBig32(static_cast<uint32_t>(sum), to);
}

// Where a grey of less than 8 bits is transparent (section 11.3.2.1), libavcodec 5.1 shows it, or another
// one: it looks for it among the samples that it has scaled to 8 bits, and with 1 bit a sample not at all. So
// the picture is handed on as one with a palette of all its greys, one of them transparent: the rows are the
// same. `ihdr`, `trns`: whole chunks of `header.pieces`.
absl::Status HandOnAsPalette(std::string_view ihdr, std::string_view trns, StillHeader& header) {
  if (!SumIsRight(ihdr) || !SumIsRight(trns)) return Damaged("a checksum is wrong");
  const int greys = 1 << U8(ihdr, 8 + 8);
  std::string palette;
  for (int i = 0; i < greys; ++i) palette.append(3, static_cast<char>(i * 255 / (greys - 1)));
  std::string alpha(greys, '\xff');
  alpha[U8(trns, 8 + 1) % greys] = 0;  // of its two bytes the bits that a sample has
  std::string with_palette(ihdr.substr(8, kHeaderBytes));
  with_palette[9] = kPaletteColour;
  std::string chunks;
  AppendChunk("IHDR", with_palette, &chunks);
  AppendChunk("PLTE", palette, &chunks);
  AppendChunk("tRNS", alpha, &chunks);
  header.added.assign(chunks.begin(), chunks.end());
  std::erase_if(header.pieces, [](std::string_view piece) {
    const std::string_view type = piece.substr(4, 4);
    return type == "IHDR" || type == "PLTE" || type == "tRNS";
  });
  header.pieces.insert(header.pieces.begin() + 1, {header.added.data(), header.added.size()});
  return absl::OkStatus();
}

class Inflater {
 public:
  Inflater() : ready_(inflateInit(&stream_) == Z_OK) {}
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Whether `parts` inflate to `rows`, and perhaps more.
  absl::Status Check(const std::vector<std::string_view>& parts, std::vector<Rows> rows) {
    if (!ready_) return absl::ResourceExhaustedError("no memory for a picture");
    RowCheck check(std::move(rows));
    std::array<Bytef, 32 << 10> out;
    for (const std::string_view part : parts) {
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
      stream_.avail_in = static_cast<uInt>(part.size());
      do {
        stream_.next_out = out.data();
        stream_.avail_out = static_cast<uInt>(out.size());
        const int result = inflate(&stream_, Z_NO_FLUSH);
        if (!check.Push(out.data(), static_cast<int64_t>(out.size() - stream_.avail_out)))
          return Damaged("a row with a filter that PNG does not have");
        if (check.complete()) return absl::OkStatus();
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
  std::vector<Rows> rows;
  std::string_view ihdr, trns;
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
      if (length != kHeaderBytes) return Damaged("a header of wrong length");
      ihdr = chunk;
      header.width = Big32(body, 0);
      header.height = Big32(body, 4);
      if (header.width == 0 || header.height == 0) return Damaged("no width or height");
      if (absl::Status status = CheckSize(header.width, header.height, max_pixels); !status.ok())
        return status;
      rows = ImageRows(body);
      if (rows.empty()) return Damaged("a form that PNG does not have");
    } else if (type == "IDAT") {
      image_data.push_back(body);
    } else if (type == "eXIf") {
      if (SumIsRight(chunk)) header.orientation = ExifOrientation(body);
      continue;
    } else if (type == "tRNS") {
      // After the picture's data, or of another length, decoders leave it out.
      if (length == 2 && image_data.empty()) trns = chunk;
    } else if (type != "PLTE" && type != "IEND") {
      // Bit 5 of the first letter: the picture can be shown without it.
      if ((U8(type, 0) & 0x20) == 0) return Damaged("a chunk that is not known and has to be");
      continue;
    }
    header.pieces.push_back(chunk);
    if (type == "IEND") break;
  }
  if (absl::Status status = Inflater().Check(image_data, std::move(rows)); !status.ok()) return status;
  if (!trns.empty() && U8(ihdr, 8 + 9) == kGreyColour && U8(ihdr, 8 + 8) < 8) {
    if (absl::Status status = HandOnAsPalette(ihdr, trns, header); !status.ok()) return status;
  }
  return header;
}

}  // namespace parley::streaming

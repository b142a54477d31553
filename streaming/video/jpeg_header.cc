#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "streaming/video/bytes.h"
#include "streaming/video/still_header.h"

namespace parley::streaming {
namespace {

using std::string_view_literals::operator""sv;

enum Marker {
  kBaseline = 0xc0,
  kProgressive = 0xc2,
  kHuffmanTables = 0xc4,
  kEndOfImage = 0xd9,
  kScan = 0xda,
  kQuantisationTables = 0xdb,
  kRestartInterval = 0xdd,
  kFirstApplication = 0xe0,
  kExif = 0xe1,
  kAdobe = 0xee,
  kLastApplication = 0xef,
  kComment = 0xfe,
};

bool IsRestart(uint8_t code) { return code >= 0xd0 && code <= 0xd7; }

// No Huffman code is all ones (section C.2): a decoder that reads on here, since blocks are missing before
// it, finds damage. libavcodec would read zeros, which are codes, and looks only before each block row or
// unit.
constexpr std::string_view kNoCode = "\xff\0\xff\0\xff\0\xff\0"sv;

absl::Status Damaged(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("a damaged JPEG picture: ", what));
}

class JpegReader {
 public:
  JpegReader(std::string_view data, int64_t max_pixels) : data_(data), max_pixels_(max_pixels) {}

  absl::StatusOr<StillHeader> Read();

 private:
  struct Component {
    uint8_t id = 0;
    int horizontal = 1;  // samples, section B.2.2
    int vertical = 1;
    // For each coefficient the bits that are still to come; -1: nothing of it came.
    std::array<int8_t, 64> missing_bits;
  };

  absl::Status ReadFrame(std::string_view segment);
  // What comes after a scan's header: so many units, between which restart markers may stand.
  struct ScanData {
    int64_t units = 0;
    // What refines first coefficients is bits without codes, so many a unit; 0: there are codes.
    int64_t bits = 0;
  };
  absl::Status ReadScan(std::string_view segment, ScanData* scan);
  // The data after it up to the next marker, which goes to the pieces.
  absl::Status ReadScanData(const ScanData& scan, size_t* at);
  bool Complete() const;

  const std::string_view data_;
  const int64_t max_pixels_;
  StillHeader header_;
  bool progressive_ = false;
  std::vector<Component> components_;
  int horizontal_ = 1;  // the largest of the components
  int vertical_ = 1;
  int64_t restart_interval_ = 0;
  int scans_ = 0;
};

// Section B.2.2; `segment` after the marker.
absl::Status JpegReader::ReadFrame(std::string_view segment) {
  if (segment.size() < 8) return Damaged("a frame header without a size");
  if (header_.width != 0) return Damaged("a second frame");
  if (U8(segment, 2) != 8)
    return absl::InvalidArgumentError("a JPEG picture of other than 8 bits is not taken");
  header_.height = Big16(segment, 3);
  header_.width = Big16(segment, 5);
  if (header_.width == 0 || header_.height == 0) return Damaged("no width or height");
  if (absl::Status status = CheckSize(header_.width, header_.height, max_pixels_); !status.ok())
    return status;
  const size_t count = U8(segment, 7);
  if (count == 0 || count > 4 || segment.size() != 8 + 3 * count)
    return Damaged("a frame header of wrong length");
  for (size_t i = 0; i < count; ++i) {
    Component component;
    component.id = U8(segment, 8 + 3 * i);
    component.horizontal = U8(segment, 9 + 3 * i) >> 4;
    component.vertical = U8(segment, 9 + 3 * i) & 15;
    component.missing_bits.fill(-1);
    if (component.horizontal < 1 || component.horizontal > 4 || component.vertical < 1 ||
        component.vertical > 4) {
      return Damaged("sampling factors out of range");
    }
    horizontal_ = std::max(horizontal_, component.horizontal);
    vertical_ = std::max(vertical_, component.vertical);
    components_.push_back(component);
  }
  return absl::OkStatus();
}

// Section B.2.3.
absl::Status JpegReader::ReadScan(std::string_view segment, ScanData* scan) {
  if (components_.empty()) return Damaged("a scan before the picture's size");
  if (++scans_ > kMaxJpegScans || scans_ * header_.width * header_.height > kMaxJpegScannedPixels) {
    return absl::ResourceExhaustedError(absl::StrCat("a JPEG picture with over ", scans_ - 1, " scans at ",
                                                     header_.width, " x ", header_.height));
  }
  const size_t count = segment.size() < 3 ? 0 : U8(segment, 2);
  if (count == 0 || count > 4 || segment.size() != 6 + 2 * count)
    return Damaged("a scan header of wrong length");
  int first = U8(segment, 3 + 2 * count);
  int last = U8(segment, 4 + 2 * count);
  const int8_t high = static_cast<int8_t>(U8(segment, 5 + 2 * count) >> 4);
  int8_t low = static_cast<int8_t>(U8(segment, 5 + 2 * count) & 15);
  if (!progressive_) first = 0, last = 63, low = 0;
  if (first > last || last > 63) return Damaged("a scan of coefficients that do not exist");
  const Component* component = nullptr;
  int64_t blocks_of_unit = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto found = std::find_if(components_.begin(), components_.end(),
                                    [&](const Component& each) { return each.id == U8(segment, 3 + 2 * i); });
    if (found == components_.end()) return Damaged("a scan of a component that does not exist");
    for (int k = first; k <= last; ++k) found->missing_bits[k] = low;
    component = &*found;
    blocks_of_unit += int64_t{found->horizontal} * found->vertical;
  }
  const auto blocks = [](int64_t size, int64_t per_unit) {
    return (size + 8 * per_unit - 1) / (8 * per_unit);
  };
  if (count > 1) {
    scan->units = blocks(header_.width, horizontal_) * blocks(header_.height, vertical_);
  } else {
    blocks_of_unit = 1;
    const auto part = [](int64_t size, int of, int all) { return (size * of + all - 1) / all; };
    scan->units = blocks(part(header_.width, component->horizontal, horizontal_), 1) *
                  blocks(part(header_.height, component->vertical, vertical_), 1);
  }
  if (progressive_ && first == 0 && high > 0) scan->bits = blocks_of_unit;
  return absl::OkStatus();
}

absl::Status JpegReader::ReadScanData(const ScanData& scan, size_t* at) {
  int64_t restarts = 0;
  size_t begin = *at;
  size_t end = begin;
  size_t stuffed = 0;
  // The data from `begin` to `end`, which hold an interval of units.
  const auto push = [&] {
    int64_t units = scan.units - restarts * restart_interval_;
    if (restart_interval_ != 0) units = std::min(units, restart_interval_);
    if (static_cast<int64_t>(end - begin - stuffed) < (units * scan.bits + 7) / 8) return false;
    header_.pieces.push_back(data_.substr(begin, end - begin));
    if (scan.bits == 0) header_.pieces.push_back(kNoCode);
    return true;
  };
  constexpr char kMissing[] = "blocks are missing";
  while (true) {  // to the next marker that is neither a stuffed byte nor a restart
    end = data_.find('\xff', end);
    if (end == std::string_view::npos || end + 1 >= data_.size()) return CutShort(VideoCodec::kJpeg);
    const uint8_t next = U8(data_, end + 1);
    if (next == 0) {
      ++stuffed;
      end += 2;
    } else if (next == 0xff) {
      ++stuffed;
      end += 1;
    } else if (IsRestart(next)) {
      if (restart_interval_ == 0 || (next & 7) != restarts % 8)
        return Damaged("restart markers out of order");
      if (!push()) return Damaged(kMissing);
      if (++restarts > scan.units / restart_interval_) return Damaged("more restart markers than blocks");
      header_.pieces.push_back(data_.substr(end, 2));
      end += 2;
      begin = end;
      stuffed = 0;
    } else {
      break;
    }
  }
  if (restart_interval_ != 0 && restarts < (scan.units - 1) / restart_interval_) {
    return Damaged("restart markers, and what is between them, are missing");
  }
  if (!push()) return Damaged(kMissing);
  *at = end;
  return absl::OkStatus();
}

bool JpegReader::Complete() const {
  return std::all_of(components_.begin(), components_.end(), [](const Component& component) {
    return std::all_of(component.missing_bits.begin(), component.missing_bits.end(),
                       [](int8_t bits) { return bits == 0; });
  });
}

absl::StatusOr<StillHeader> JpegReader::Read() {
  size_t at = 2;
  size_t table_bytes = 0;
  header_.pieces.push_back(data_.substr(0, 2));
  while (true) {
    // A marker: 0xff, as many more of them as one likes, then its code.
    while (at + 1 < data_.size() && U8(data_, at) == 0xff && U8(data_, at + 1) == 0xff) ++at;
    if (at + 1 >= data_.size()) return CutShort(VideoCodec::kJpeg);
    const uint8_t code = U8(data_, at + 1);
    if (U8(data_, at) != 0xff || code == 0) return Damaged("a segment without its marker");
    if (code == kEndOfImage) {
      if (scans_ == 0) return Damaged("no scan");
      if (!Complete()) return Damaged("scans are missing");
      header_.pieces.push_back(data_.substr(at, 2));
      return std::move(header_);
    }
    if (at + 4 > data_.size()) return CutShort(VideoCodec::kJpeg);
    const size_t length = Big16(data_, at + 2);
    if (length < 2) return Damaged("a segment that is shorter than its header");
    if (length > data_.size() - at - 2) return CutShort(VideoCodec::kJpeg);
    const std::string_view segment = data_.substr(at + 2, length);  // with its length
    absl::Status status;
    ScanData scan;
    bool keep = true;
    if (code >= kBaseline && code <= kProgressive) {
      progressive_ = code == kProgressive;
      status = ReadFrame(segment);
    } else if (code == kHuffmanTables || code == kQuantisationTables) {
      table_bytes += length;
      if (table_bytes > kMaxJpegTableBytes) {
        return absl::ResourceExhaustedError(
            absl::StrCat("a JPEG picture with over ", kMaxJpegTableBytes, " bytes of tables"));
      }
    } else if (code == kRestartInterval) {
      if (length != 4) return Damaged("a restart interval of wrong length");
      restart_interval_ = Big16(segment, 2);
    } else if (code == kScan) {
      status = ReadScan(segment, &scan);
    } else if (code >= kFirstApplication && code <= kLastApplication) {
      // What applications add stays out, but for the two that say how colours are coded.
      keep = code == kFirstApplication || code == kAdobe;
      const std::string_view body = segment.substr(2);
      if (code == kExif && header_.orientation == kUpright && body.starts_with("Exif\0\0"sv)) {
        header_.orientation = ExifOrientation(body);
      }
    } else if (code == kComment) {
      keep = false;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("a JPEG picture with a marker that is not taken: ", static_cast<int>(code)));
    }
    if (!status.ok()) return status;
    if (keep) header_.pieces.push_back(data_.substr(at, 2 + length));
    at += 2 + length;
    if (code == kScan) {
      if (status = ReadScanData(scan, &at); !status.ok()) return status;
    }
  }
}

}  // namespace

absl::StatusOr<StillHeader> ReadJpegHeader(std::string_view data, int64_t max_pixels) {
  return JpegReader(data, max_pixels).Read();
}

}  // namespace parley::streaming

#include "streaming/video/h264_stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/video/bit_reader.h"

namespace parley::streaming {
namespace {

using std::string_view_literals::operator""sv;

// NAL unit types, section 7.4.1.
enum NalType {
  kSlice = 1,
  kPartitionA = 2,
  kPartitionC = 4,
  kIdrSlice = 5,
  kSupplemental = 6,
  kSequenceParameterSet = 7,
  kPictureParameterSet = 8,
  kDelimiter = 9,
  kSequenceExtension = 13,
};

uint8_t U8(std::string_view data, size_t at) { return static_cast<uint8_t>(data[at]); }
int TypeOf(std::string_view nal) { return U8(nal, 0) & 0x1f; }

// The first `limit` bytes of a NAL unit's payload, without its 0x03 bytes (section 7.4.1).
std::string Unescape(std::string_view nal, size_t limit) {
  std::string rbsp;
  int zeros = 0;
  for (const char byte : nal.substr(1)) {
    if (rbsp.size() == limit) break;
    if (zeros >= 2 && byte == 3) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    rbsp += byte;
  }
  return rbsp;
}

void SkipScalingList(BitReader& bits, int size) {
  int last = 8;
  int next = 8;
  for (int i = 0; i < size && !bits.overrun(); ++i) {
    if (next != 0) next = (last + bits.SignedGolomb() + 256) & 255;
    if (next != 0) last = next;
  }
}

// Whether a supplemental information unit names a recovery point (section D.1): a stream without IDR pictures
// (periodic intra refresh, open groups) can be joined there.
bool HasRecoveryPoint(std::string_view rbsp) {
  size_t at = 0;
  while (at + 2 < rbsp.size()) {
    uint32_t type = 0;
    uint32_t size = 0;
    while (at < rbsp.size() && U8(rbsp, at) == 0xff) type += U8(rbsp, at++);
    if (at < rbsp.size()) type += U8(rbsp, at++);
    while (at < rbsp.size() && U8(rbsp, at) == 0xff) size += U8(rbsp, at++);
    if (at < rbsp.size()) size += U8(rbsp, at++);
    if (type == 6) return true;
    at += size;
  }
  return false;
}

absl::Status Damaged(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("damaged H.264 picture: ", what));
}

absl::Status TooMany(int64_t limit, const char* what) {
  return absl::ResourceExhaustedError(absl::StrCat("H.264 with over ", limit, " ", what));
}

}  // namespace

// Section 7.3.2.1.1, as far as the size.
absl::Status H264Stream::ReadSequenceParameterSet(std::string_view nal) {
  const std::string rbsp = Unescape(nal, kMaxParameterSetBytes);
  BitReader bits(rbsp);
  const uint32_t profile = bits.Bits(8);
  bits.Bits(16);  // constraints, level
  const uint32_t id = bits.Golomb();
  uint32_t chroma = 1;
  uint32_t depth = 8;
  constexpr std::array<uint32_t, 13> kHighProfiles = {100, 110, 122, 244, 44,  83, 86,
                                                      118, 128, 138, 139, 134, 135};
  if (std::find(kHighProfiles.begin(), kHighProfiles.end(), profile) != kHighProfiles.end()) {
    chroma = bits.Golomb();
    if (chroma == 3 && bits.Bit()) {
      return absl::InvalidArgumentError("H.264 with separate colour planes is not taken");
    }
    depth = 8 + std::min(bits.Golomb(), 8u);
    depth = std::max(depth, 8 + std::min(bits.Golomb(), 8u));
    bits.Bit();        // lossless
    if (bits.Bit()) {  // scaling matrices
      for (int i = 0; i < (chroma == 3 ? 12 : 8); ++i) {
        if (bits.Bit()) SkipScalingList(bits, i < 6 ? 16 : 64);
      }
    }
  }
  SequenceParameterSet set;
  const uint32_t frame_num_bits = bits.Golomb() + 4;
  const uint32_t order_type = bits.Golomb();
  if (order_type == 0) {
    bits.Golomb();
  } else if (order_type == 1) {
    bits.Bit();
    bits.Golomb();
    bits.Golomb();
    const uint32_t cycle = bits.Golomb();
    for (uint32_t i = 0; i < cycle && !bits.overrun(); ++i) bits.Golomb();
  }
  const uint32_t references = bits.Golomb();
  set.gaps_allowed = bits.Bit();
  set.width = (int64_t{bits.Golomb()} + 1) * 16;
  const int64_t height_units = (int64_t{bits.Golomb()} + 1) * 16;
  set.frames_only = bits.Bit();
  set.height = set.frames_only ? height_units : 2 * height_units;
  if (bits.overrun()) return absl::InvalidArgumentError("an H.264 parameter set that is cut short");
  if (id > 31 || chroma > 3 || frame_num_bits > 16 || references > 16) {
    return absl::InvalidArgumentError("an H.264 sequence parameter set with values out of range");
  }
  set.frame_num_bits = static_cast<int>(frame_num_bits);
  if (absl::Status status = CheckSize(set.width, set.height, max_pixels_); !status.ok()) return status;
  // In halves: samples of all planes for each of luma. libavcodec keeps grey pictures with chroma.
  constexpr int kHalfSamples[] = {3, 3, 4, 6};
  const int64_t picture_bytes = set.width * set.height * kHalfSamples[chroma] * (depth > 8 ? 2 : 1) / 2;
  // Beside those referred to, the picture being decoded and the one being shown.
  if (absl::Status status = CheckPictureBytes(picture_bytes, references + 2, max_pixels_); !status.ok()) {
    return status;
  }

  const auto known = sequence_sets_.find(id);
  if (known == sequence_sets_.end()) {
    if (sequence_sets_.size() >= kMaxSequenceParameterSets) {
      return TooMany(kMaxSequenceParameterSets, "sequence parameter sets");
    }
  } else if (known->second.nal == nal) {
    return absl::OkStatus();
  }
  set.nal = std::string(nal);
  sequence_sets_[id] = std::move(set);
  // libavcodec drops the picture parameter sets that refer to one that changed.
  for (auto& [picture_id, picture_set] : picture_sets_) {
    if (picture_set.sequence_id == id) picture_set.given = false;
  }
  return absl::OkStatus();
}

// Section 7.3.2.2, the identifiers.
absl::Status H264Stream::ReadPictureParameterSet(std::string_view nal) {
  const std::string rbsp = Unescape(nal, 16);
  BitReader bits(rbsp);
  const uint32_t id = bits.Golomb();
  const uint32_t sequence_id = bits.Golomb();
  if (bits.overrun()) return absl::InvalidArgumentError("an H.264 parameter set that is cut short");
  if (id > 255 || sequence_id > 31) {
    return absl::InvalidArgumentError("an H.264 picture parameter set with values out of range");
  }
  const auto known = picture_sets_.find(id);
  if (known == picture_sets_.end()) {
    if (picture_sets_.size() >= kMaxPictureParameterSets) {
      return TooMany(kMaxPictureParameterSets, "picture parameter sets");
    }
  } else if (known->second.nal == nal) {
    return absl::OkStatus();
  }
  picture_sets_[id] = {.nal = std::string(nal), .sequence_id = sequence_id};
  return absl::OkStatus();
}

// Section 7.3.3, as far as all slices of a picture share it.
absl::StatusOr<H264Stream::Slice> H264Stream::ReadSlice(std::string_view nal) const {
  const std::string rbsp = Unescape(nal, 32);
  BitReader bits(rbsp);
  Slice slice;
  slice.idr = TypeOf(nal) == kIdrSlice;
  slice.reference = (U8(nal, 0) >> 5 & 3) != 0;
  slice.first_macroblock = bits.Golomb();
  bits.Golomb();  // type
  const uint32_t picture_id = bits.Golomb();
  const auto picture_set = picture_sets_.find(picture_id);
  if (picture_set == picture_sets_.end()) {
    return Damaged(absl::StrCat("it refers to picture parameter set ", picture_id, ", which was not sent"));
  }
  slice.sequence_id = picture_set->second.sequence_id;
  const auto sequence_set = sequence_sets_.find(slice.sequence_id);
  if (sequence_set == sequence_sets_.end()) {
    return Damaged(
        absl::StrCat("it refers to sequence parameter set ", slice.sequence_id, ", which was not sent"));
  }
  slice.frame_num = bits.Bits(sequence_set->second.frame_num_bits);
  if (!sequence_set->second.frames_only && bits.Bit()) {
    return absl::InvalidArgumentError("H.264 that is interlaced as separate fields is not taken");
  }
  if (bits.overrun()) return Damaged("a slice is cut short");
  return slice;
}

absl::StatusOr<H264Stream::Slice> H264Stream::ReadSlices(const std::vector<std::string_view>& slices) const {
  Slice picture;
  uint32_t last = 0;
  for (size_t i = 0; i < slices.size(); ++i) {
    const auto slice = ReadSlice(slices[i]);
    if (!slice.ok()) return slice;
    if (i == 0) {
      picture = *slice;
      if (picture.first_macroblock != 0) return Damaged("its first slice is missing");
      continue;
    }
    // In order, so that one sent twice does not make up for one that is missing.
    if (slice->first_macroblock <= last) {
      return Damaged("slices that are out of order or sent twice, or more than one picture in a message");
    }
    last = slice->first_macroblock;
    if (slice->frame_num != picture.frame_num || slice->sequence_id != picture.sequence_id ||
        slice->idr != picture.idr || slice->reference != picture.reference) {
      return Damaged("slices of more than one picture");
    }
  }
  return picture;
}

absl::Status H264Stream::CheckContinuity(const Slice& picture, bool key_frame) const {
  if (key_frame) return absl::OkStatus();
  const SequenceParameterSet& sequence = sequence_sets_.at(picture.sequence_id);
  if (sequence.nal != active_sequence_) return Damaged("another parameter set without a key frame");
  if (!last_reference_frame_num_.has_value() || sequence.gaps_allowed) return absl::OkStatus();
  // Section 7.4.3. 0 and 1 also come after a picture that resets the count (memory management operation 5).
  const uint32_t last = *last_reference_frame_num_;
  const uint32_t next = (last + 1) & ((1u << sequence.frame_num_bits) - 1);
  if (picture.frame_num != last && picture.frame_num != next && picture.frame_num > 1) {
    return Damaged("pictures that it may refer to are missing before it");
  }
  return absl::OkStatus();
}

void H264Stream::GiveParameterSets(std::vector<std::string_view>* pieces) {
  const auto give = [pieces](auto& sets) {
    for (auto& [id, set] : sets) {
      if (std::exchange(set.given, true)) continue;
      pieces->push_back("\0\0\1"sv);
      pieces->push_back(set.nal);
    }
  };
  give(sequence_sets_);
  give(picture_sets_);
}

absl::StatusOr<H264Stream::Message> H264Stream::Read(std::string_view data, bool waiting) {
  constexpr std::string_view kStartCode = "\0\0\1"sv;
  Message message;
  std::vector<std::string_view> slices;
  std::vector<std::string_view> recovery_points;
  int units = 0;
  int parameter_sets = 0;
  int known = 0;  // of a type that may stand without a picture
  bool foreign = false;
  size_t start = data.find(kStartCode);
  if (start > 8 || data.find_first_not_of('\0') < start) {
    return absl::InvalidArgumentError("H.264 without an Annex B start code");
  }
  while (start != std::string_view::npos) {
    start += kStartCode.size();
    const size_t next = data.find(kStartCode, start);
    std::string_view nal = data.substr(start, next == std::string_view::npos ? next : next - start);
    start = next;
    if (++units > kMaxNalUnits) return TooMany(kMaxNalUnits, "NAL units in a message");
    nal = nal.substr(0, nal.find_last_not_of('\0') + 1);  // zeros belong to what comes next
    if (nal.empty()) continue;
    const int type = TypeOf(nal);
    absl::Status status;
    switch (type) {
      case kSequenceParameterSet:
      case kPictureParameterSet:
        if (nal.size() > kMaxParameterSetBytes)
          return TooMany(kMaxParameterSetBytes, "bytes of parameter set");
        if (++parameter_sets > kMaxParameterSetUnits) {
          return TooMany(kMaxParameterSetUnits, "parameter sets in a message");
        }
        status = type == kSequenceParameterSet ? ReadSequenceParameterSet(nal) : ReadPictureParameterSet(nal);
        if (!status.ok()) return status;
        break;
      case kSupplemental:
        if (HasRecoveryPoint(Unescape(nal, 1'024))) recovery_points.push_back(nal);
        break;
      case kSlice:
      case kIdrSlice:
        message.key_frame |= type == kIdrSlice;
        slices.push_back(nal);
        break;
      default:
        if (type >= kPartitionA && type <= kPartitionC) {
          return absl::InvalidArgumentError("H.264 with data partitioning is not taken");
        }
        if (type < kDelimiter || type > kSequenceExtension) {
          foreign = true;
          continue;
        }
    }
    ++known;
  }
  if (slices.empty()) {
    if (known == 0 || foreign) return absl::InvalidArgumentError("an H.264 access unit without a picture");
    return message;
  }
  if (slices.size() > kMaxSlices) return TooMany(kMaxSlices, "slices in a picture");
  message.has_picture = true;
  message.key_frame |= !recovery_points.empty();
  if (waiting && !message.key_frame) return absl::UnavailableError("waiting for a key frame");
  const auto picture = ReadSlices(slices);
  if (!picture.ok()) return picture.status();
  if (absl::Status status = CheckContinuity(*picture, message.key_frame); !status.ok()) return status;
  message.reference = picture->reference;
  if (picture->reference) last_reference_frame_num_ = picture->frame_num;
  active_sequence_ = sequence_sets_.at(picture->sequence_id).nal;

  GiveParameterSets(&message.pieces);
  for (const auto* units_of_a_kind : {&recovery_points, &slices}) {
    for (const std::string_view nal : *units_of_a_kind) {
      message.pieces.push_back(kStartCode);
      message.pieces.push_back(nal);
    }
  }
  return message;
}

void H264Stream::Restart() {
  last_reference_frame_num_.reset();
  for (auto& [id, set] : sequence_sets_) set.given = false;
  for (auto& [id, set] : picture_sets_) set.given = false;
}

}  // namespace parley::streaming

#include "streaming/video/h264_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/video/bit_reader.h"
#include "streaming/video/nal_units.h"

namespace parley::streaming {
namespace {

uint8_t U8(std::string_view data, size_t at) { return static_cast<uint8_t>(data[at]); }

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

// Section 7.3.3, as far as all slices of a picture share it.
absl::StatusOr<H264Stream::Slice> H264Stream::ReadSlice(std::string_view nal) const {
  const std::string rbsp = UnescapeNal(nal, 32);
  BitReader bits(rbsp);
  Slice slice;
  slice.idr = NalTypeOf(nal) == kNalIdrSlice;
  slice.reference = (U8(nal, 0) >> 5 & 3) != 0;
  slice.first_macroblock = bits.Golomb();
  bits.Golomb();  // type
  const uint32_t picture_id = bits.Golomb();
  const H264ParameterSets::Picture* picture_set = parameter_sets_.picture(picture_id);
  if (picture_set == nullptr) {
    return Damaged(absl::StrCat("it refers to picture parameter set ", picture_id, ", which was not sent"));
  }
  slice.sequence_id = picture_set->sequence_id;
  const H264ParameterSets::Sequence* sequence_set = parameter_sets_.sequence(slice.sequence_id);
  if (sequence_set == nullptr) {
    return Damaged(
        absl::StrCat("it refers to sequence parameter set ", slice.sequence_id, ", which was not sent"));
  }
  slice.frame_num = bits.Bits(sequence_set->frame_num_bits);
  if (!sequence_set->frames_only && bits.Bit()) {
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
  const H264ParameterSets::Sequence& sequence = *parameter_sets_.sequence(picture.sequence_id);
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

absl::StatusOr<H264Stream::Message> H264Stream::Read(std::string_view data, bool waiting) {
  Message message;
  std::vector<std::string_view> slices;
  std::vector<std::string_view> recovery_points;
  int unit_count = 0;
  int parameter_sets = 0;
  int known = 0;  // of a type that may stand without a picture
  bool foreign = false;
  NalUnits units(data);
  if (!units.begins_with_start_code())
    return absl::InvalidArgumentError("H.264 without an Annex B start code");
  while (const std::optional<std::string_view> unit = units.Next()) {
    const std::string_view nal = *unit;
    if (++unit_count > kMaxNalUnits) return TooMany(kMaxNalUnits, "NAL units in a message");
    if (nal.empty()) continue;
    const int type = NalTypeOf(nal);
    absl::Status status;
    switch (type) {
      case kNalSequenceParameterSet:
      case kNalPictureParameterSet:
        if (++parameter_sets > H264ParameterSets::kMaxParameterSetUnits)
          return TooMany(H264ParameterSets::kMaxParameterSetUnits, "parameter sets in a message");
        status = parameter_sets_.Read(nal);
        if (!status.ok()) return status;
        break;
      case kNalSupplemental:
        if (HasRecoveryPoint(UnescapeNal(nal, 1'024))) recovery_points.push_back(nal);
        break;
      case kNalSlice:
      case kNalIdrSlice:
        message.key_frame |= type == kNalIdrSlice;
        slices.push_back(nal);
        break;
      default:
        if (type >= kNalPartitionA && type <= kNalPartitionC) {
          return absl::InvalidArgumentError("H.264 with data partitioning is not taken");
        }
        if (type < kNalDelimiter || type > kNalSequenceExtension) {
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
  active_sequence_ = parameter_sets_.sequence(picture->sequence_id)->nal;

  parameter_sets_.Give(&message.pieces);
  for (const auto* units_of_a_kind : {&recovery_points, &slices}) {
    for (const std::string_view nal : *units_of_a_kind) {
      message.pieces.push_back(kNalStartCode);
      message.pieces.push_back(nal);
    }
  }
  return message;
}

void H264Stream::Restart(std::string_view parameter_sets) {
  last_reference_frame_num_.reset();
  parameter_sets_.Restart();
  parameter_sets_.ReadAll(parameter_sets);
}

}  // namespace parley::streaming

#include "streaming/video/h264_parameter_sets.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/video/bit_reader.h"
#include "streaming/video/nal_units.h"
#include "streaming/video/picture_header.h"

namespace parley::streaming {
namespace {

void SkipScalingList(BitReader& bits, int size) {
  int last = 8;
  int next = 8;
  for (int i = 0; i < size && !bits.overrun(); ++i) {
    if (next != 0) next = (last + bits.SignedGolomb() + 256) & 255;
    if (next != 0) last = next;
  }
}

absl::Status TooMany(int64_t limit, const char* what) {
  return absl::ResourceExhaustedError(absl::StrCat("H.264 with over ", limit, " ", what));
}

bool IsParameterSet(std::string_view nal) {
  return !nal.empty() &&
         (NalTypeOf(nal) == kNalSequenceParameterSet || NalTypeOf(nal) == kNalPictureParameterSet);
}

}  // namespace

absl::Status H264ParameterSets::Read(std::string_view nal) {
  if (nal.size() > kMaxParameterSetBytes) return TooMany(kMaxParameterSetBytes, "bytes of parameter set");
  return NalTypeOf(nal) == kNalSequenceParameterSet ? ReadSequence(nal) : ReadPicture(nal);
}

// Section 7.3.2.1.1, as far as the size.
absl::Status H264ParameterSets::ReadSequence(std::string_view nal) {
  const std::string rbsp = UnescapeNal(nal, kMaxParameterSetBytes);
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
  Sequence set;
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

  const auto known = sequences_.find(id);
  if (known == sequences_.end()) {
    if (sequences_.size() >= kMaxSequenceParameterSets) {
      return TooMany(kMaxSequenceParameterSets, "sequence parameter sets");
    }
  } else if (known->second.nal == nal) {
    return absl::OkStatus();
  }
  set.nal = std::string(nal);
  sequences_[id] = std::move(set);
  // libavcodec drops the picture parameter sets that refer to one that changed.
  for (auto& [picture_id, picture_set] : pictures_) {
    if (picture_set.sequence_id == id) picture_set.given = false;
  }
  return absl::OkStatus();
}

// Section 7.3.2.2, the identifiers.
absl::Status H264ParameterSets::ReadPicture(std::string_view nal) {
  const std::string rbsp = UnescapeNal(nal, 16);
  BitReader bits(rbsp);
  const uint32_t id = bits.Golomb();
  const uint32_t sequence_id = bits.Golomb();
  if (bits.overrun()) return absl::InvalidArgumentError("an H.264 parameter set that is cut short");
  if (id > 255 || sequence_id > 31) {
    return absl::InvalidArgumentError("an H.264 picture parameter set with values out of range");
  }
  const auto known = pictures_.find(id);
  if (known == pictures_.end()) {
    if (pictures_.size() >= kMaxPictureParameterSets) {
      return TooMany(kMaxPictureParameterSets, "picture parameter sets");
    }
  } else if (known->second.nal == nal) {
    return absl::OkStatus();
  }
  pictures_[id] = {.nal = std::string(nal), .sequence_id = sequence_id};
  return absl::OkStatus();
}

void H264ParameterSets::ReadAll(std::string_view message) {
  NalUnits units(message);
  if (!units.begins_with_start_code()) return;
  int parameter_sets = 0;
  for (int i = 0; i < kMaxNalUnits; ++i) {
    const std::optional<std::string_view> nal = units.Next();
    if (!nal.has_value()) return;
    if (!IsParameterSet(*nal)) continue;
    if (++parameter_sets > kMaxParameterSetUnits) return;
    (void)Read(*nal);
  }
}

const H264ParameterSets::Sequence* H264ParameterSets::sequence(uint32_t id) const {
  const auto found = sequences_.find(id);
  return found == sequences_.end() ? nullptr : &found->second;
}

const H264ParameterSets::Picture* H264ParameterSets::picture(uint32_t id) const {
  const auto found = pictures_.find(id);
  return found == pictures_.end() ? nullptr : &found->second;
}

void H264ParameterSets::Give(std::vector<std::string_view>* pieces) {
  const auto give = [pieces](auto& sets) {
    for (auto& [id, set] : sets) {
      if (std::exchange(set.given, true)) continue;
      pieces->push_back(kNalStartCode);
      pieces->push_back(set.nal);
    }
  };
  give(sequences_);
  give(pictures_);
}

void H264ParameterSets::Restart() {
  for (auto& [id, set] : sequences_) set.given = false;
  for (auto& [id, set] : pictures_) set.given = false;
}

void KeptParameterSets::Take(std::string_view message) {
  sets_.ReadAll(message);
  std::vector<std::string_view> pieces;
  sets_.Give(&pieces);
  if (pieces.empty()) return;  // nothing new
  sets_.Restart();
  pieces.clear();
  sets_.Give(&pieces);
  std::string all;
  for (const std::string_view piece : pieces) all += piece;
  message_ = std::make_shared<const std::string>(std::move(all));
}

}  // namespace parley::streaming

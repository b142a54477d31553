// The parameter sets of an H.264 stream (ITU-T H.264, sections 7.3.2.1 and 7.3.2.2): read before a decoder is
// let near them, and kept, since a stream may send them once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace parley::streaming {

// Not thread-safe.
class H264ParameterSets {
 public:
  // Identifiers in use. A picture parameter set takes 0.2 MB in libavcodec, which has room for 256. Encoders
  // that count identifiers upwards stay below these (OpenH264: 32 and 57).
  static constexpr int kMaxSequenceParameterSets = 32;
  static constexpr int kMaxPictureParameterSets = 64;
  // Sets in one message: each new one costs tables.
  static constexpr int kMaxParameterSetUnits = kMaxSequenceParameterSets + kMaxPictureParameterSets;
  static constexpr size_t kMaxParameterSetBytes = 4'096;
  // All that can be kept, each with a start code.
  static constexpr size_t kMaxBytes = kMaxParameterSetUnits * (kMaxParameterSetBytes + 3);

  struct Sequence {
    std::string nal;
    bool given = false;  // to the decoder
    int64_t width = 0;
    int64_t height = 0;
    int frame_num_bits = 0;
    bool frames_only = true;
    bool gaps_allowed = false;  // in frame_num: pictures may be left out on purpose
  };
  struct Picture {
    std::string nal;
    bool given = false;
    uint32_t sequence_id = 0;
  };

  explicit H264ParameterSets(int64_t max_pixels) : max_pixels_(max_pixels) {}

  // Takes a NAL unit of one of both kinds; what it says holds until another with its identifier comes.
  // INVALID_ARGUMENT: damaged, or values out of range. RESOURCE_EXHAUSTED: a size over max_pixels, pictures
  // over PictureBytesAllowed, or over one of the limits above. REQUIRES: `nal` is of one of both kinds.
  absl::Status Read(std::string_view nal);

  // Takes those of a message in Annex B, as far as a decoder would read it. Ones that cannot be used are left
  // out.
  void ReadAll(std::string_view message);

  // Null: there is none.
  const Sequence* sequence(uint32_t id) const;
  const Picture* picture(uint32_t id) const;

  // Appends those that the decoder does not have yet, each after a start code. Valid until the next Read.
  void Give(std::vector<std::string_view>* pieces);
  // The decoder has none any more.
  void Restart();

 private:
  absl::Status ReadSequence(std::string_view nal);
  absl::Status ReadPicture(std::string_view nal);

  const int64_t max_pixels_;
  std::map<uint32_t, Sequence> sequences_;
  std::map<uint32_t, Picture> pictures_;
};

// The parameter sets that a stream's messages have brought so far, whatever became of them: for decoders that
// have not seen those messages, as their process is new, or have lost some. At most
// H264ParameterSets::kMaxBytes. Not thread-safe.
class KeptParameterSets {
 public:
  explicit KeptParameterSets(int64_t max_pixels) : sets_(max_pixels) {}

  // Takes what a message of the client holds of them. What cannot be used is left out: the decoder says so.
  // A message of 100 kB takes about 40 us.
  void Take(std::string_view message);
  // As one message, Annex B. Null: there is none yet.
  const std::shared_ptr<const std::string>& message() const { return message_; }

 private:
  H264ParameterSets sets_;
  std::shared_ptr<const std::string> message_;
};

}  // namespace parley::streaming

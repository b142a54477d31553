// What an H.264 stream (ITU-T H.264, Annex B) says of itself before a decoder is let near it: its parameter
// sets, which it may send once, and the slices of each picture.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "streaming/video/h264_parameter_sets.h"
#include "streaming/video/nal_units.h"

namespace parley::streaming {

// Keeps the parameter sets from one message to the next. Not thread-safe: used by one strand.
class H264Stream {
 public:
  // An encoder that cuts a key frame of 1 MB into packets of 1,200 bytes writes 870 slices.
  static constexpr int kMaxSlices = 1'024;
  explicit H264Stream(int64_t max_pixels) : parameter_sets_(max_pixels) {}

  struct Message {
    // False: parameter sets, delimiters or supplemental information alone. `pieces` is then empty; the
    // parameter sets come with the next picture.
    bool has_picture = false;
    bool key_frame = false;  // a decoder can begin here
    bool reference = false;  // later pictures may refer to this one
    // What the decoder needs, in order: parameter sets that it does not have yet, slices, and of the
    // supplemental information only recovery points, since an encoder that writes the rest of it carelessly
    // would spoil pictures that are whole. Valid while `data` is, until the next call.
    std::vector<std::string_view> pieces;
  };
  // Reads one message of the client: an access unit or parts of one without slices. `waiting`: for a key
  // frame. UNAVAILABLE: a picture that is no key frame, while `waiting`; its parameter sets are kept.
  // INVALID_ARGUMENT: not H.264, damaged, slices or pictures before it are missing, interlaced as fields
  // (libavcodec does not notice that part of a field is missing). RESOURCE_EXHAUSTED: over max_pixels, over
  // PictureBytesAllowed, or over one of the limits above or of H264ParameterSets.
  absl::StatusOr<Message> Read(std::string_view data, bool waiting);

  // The decoder has forgotten everything, or may have: the next picture is a key frame, and the parameter
  // sets come with it again, among them those of messages that did not come here: `parameter_sets`, one after
  // the other.
  void Restart(std::string_view parameter_sets);

 private:
  // What all slices of a picture have in common.
  struct Slice {
    uint32_t first_macroblock = 0;
    uint32_t frame_num = 0;
    uint32_t sequence_id = 0;
    bool idr = false;
    bool reference = false;
  };

  absl::StatusOr<Slice> ReadSlice(std::string_view nal) const;
  // That they make one picture, as far as their headers tell. libavcodec tells the rest.
  absl::StatusOr<Slice> ReadSlices(const std::vector<std::string_view>& slices) const;
  absl::Status CheckContinuity(const Slice& picture, bool key_frame) const;

  H264ParameterSets parameter_sets_;
  std::string active_sequence_;                       // the one of the last picture
  std::optional<uint32_t> last_reference_frame_num_;  // none: a picture that begins the stream is next
};

}  // namespace parley::streaming

// One call's camera: encoded frames in, upright RGB pictures out.
//
// JPEG, PNG and WebP stills, and H.264 (Annex B), VP8 and VP9 streams, decoded by FFmpeg, VP8 and VP9 by
// libvpx. The declared codec decides: a PNG sent as JPEG is refused and the error says what it is. Every
// frame of a stream is decoded, since later ones refer to it, but only the ones that are wanted are
// converted. Colour matrix and range are those the picture declares (BT.601 where it declares none). What is
// transparent is seen as grey (picture_converter.h), an animation shows its first picture or is refused, a
// still is turned as its EXIF orientation says unless the frame names a rotation of its own. Pictures that
// are not all there are refused. Bytes come from outside: any bytes at all give a status at worst, no picture
// over the limit is ever allocated, and all that a decoder keeps stay below PictureBytesAllowed
// (picture_header.h). What a decoder needs beside its pictures is bounded by the size of the data, see
// still_header.h and h264_stream.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/api/media.h"
#include "streaming/video/picture_target.h"

namespace parley::streaming {

enum class VideoCodec { kJpeg, kPng, kWebp, kH264, kVp8, kVp9 };

// Not thread-safe: used by one strand.
class VideoInput {
 public:
  virtual ~VideoInput() = default;

  static absl::StatusOr<std::unique_ptr<VideoInput>> Create(VideoCodec codec, int64_t max_pixels);

  // Decodes one frame. With `want` the upright picture comes back, else null. Null too, though wanted, when a
  // frame of a stream shows nothing itself: VP8 and VP9 have such, and the next one shows; of H.264 a message
  // that holds parameter sets, a delimiter or supplemental information but no picture. Parameter sets are
  // kept, whatever becomes of the pictures. An H.264 stream whose pictures refer to later ones shows them
  // that many frames late. A VP9 superframe whose end is cut off shows nothing if its first frame is hidden.
  //   rotation_degrees: 0, 90, 180 or 270, clockwise.
  // INVALID_ARGUMENT: damaged, incomplete, or not of this codec; a stream then waits for its next key frame.
  // UNAVAILABLE: a stream that waits for a key frame got another one. RESOURCE_EXHAUSTED: over max_pixels,
  // over the memory that its pictures may take together, or over the limits of h264_stream.h.
  absl::StatusOr<engine::ImagePtr> Decode(std::string_view data, int rotation_degrees, bool want);
  // The same with the pixels where the caller wants them. `target`: null when the picture is not wanted.
  // True: it was written.
  virtual absl::StatusOr<bool> DecodeTo(std::string_view data, int rotation_degrees,
                                        PictureTarget* target) = 0;

  // Stills: true, so a frame that is not wanted need not be decoded at all.
  virtual bool independent_frames() const = 0;

  // Frames were lost on their way here, or this decoder begins after them: a stream waits for its next key
  // frame. Parameter sets stay, since they may have been sent once and for all.
  //   parameter_sets: of an H.264 stream those of the frames before the next one, as KeptParameterSets has
  //   them. Else empty.
  // A still: no-op.
  virtual void OnLoss(std::string_view /*parameter_sets*/) {}
};

}  // namespace parley::streaming

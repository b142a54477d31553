// Who decodes the pictures of strangers: an interface between a call, which must not wait, and child
// processes (process_decoders.h), threads of this process (thread_decoders.h) or nobody else (Inline).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "engine/api/media.h"
#include "streaming/video/video_input.h"

namespace parley::streaming {

// One call's decoder. Used by one thread at a time. After its destruction a `done` still under way is
// dropped, or runs if it has begun.
class PictureDecoder {
 public:
  struct Frame {
    std::string data;
    int rotation_degrees = 0;  // 0, 90, 180 or 270, clockwise
    bool want = true;          // the picture itself, not only its traces in the decoder
    bool after_loss = false;   // a frame before this one is missing: wait for a key frame
    // H.264: those of all frames before this one, whatever became of them (KeptParameterSets). Null: none.
    std::shared_ptr<const std::string> parameter_sets;

    std::string_view parameter_set_bytes() const {
      return parameter_sets == nullptr ? std::string_view() : *parameter_sets;
    }
  };
  // What VideoInput::Decode gives, and
  //   DEADLINE_EXCEEDED: it took, or would have to take, more time than there is for it.
  //   ABORTED: it took more memory than a frame may, or the decoder was lost for lack of some, or keeps
  //   ending.
  // A stream waits for its next key frame after an error other than UNAVAILABLE.
  using Done = absl::AnyInvocable<void(absl::StatusOr<engine::ImagePtr>)>;

  virtual ~PictureDecoder() = default;
  // Returns at once. `done` runs once, on any thread, this one included; it must not block.
  // REQUIRES: the `done` before it has run.
  virtual void Decode(Frame frame, Done done) = 0;
};

// Since the beginning; of decoders without processes all zero.
struct PictureDecoderCounts {
  int64_t started = 0;  // processes; counted once they are there
  // Of these, those that ended before their call did; see process_decoders.h.
  int64_t overdue = 0;  // DEADLINE_EXCEEDED
  int64_t killed = 0;   // ABORTED
  int64_t crashed = 0;  // INVALID_ARGUMENT, or nobody says why
  int64_t fork_server_restarts = 0;
};

// Thread-safe. Must outlive its decoders.
class PictureDecoders {
 public:
  virtual ~PictureDecoders() = default;
  virtual PictureDecoderCounts counts() const { return {}; }
  // INVALID_ARGUMENT, UNIMPLEMENTED: what cannot be decoded here.
  virtual absl::StatusOr<std::unique_ptr<PictureDecoder>> Open(VideoCodec codec, int64_t max_pixels) = 0;

  // Decodes within Decode, without a limit of time: for tests in simulated time. Never deleted.
  static PictureDecoders* Inline();
};

// Stills: no frame refers to another.
inline bool HasIndependentFrames(VideoCodec codec) {
  return codec == VideoCodec::kJpeg || codec == VideoCodec::kPng || codec == VideoCodec::kWebp;
}

}  // namespace parley::streaming

// Pictures decoded in child processes without rights: one a call, so that what a stranger's bytes do to a
// decoder is done to nobody else's pictures, and a stream's decoder can keep what later frames refer to.
//
// A call's process is forked from the fork server (fork_server_main.h) with its first frame and ends with the
// call. One thread here serves all of them. What ends a process, and what becomes of the frame then:
//   it takes longer than DecodePolicy::frame_limit       DEADLINE_EXCEEDED
//   it takes more memory than the limit                  ABORTED (it goes on where FFmpeg notices)
//   it is killed, as where the machine has no memory     ABORTED
//   it crashes, does what it may not, says nonsense,     INVALID_ARGUMENT
//   or works unasked
// The next frame gets a new process, a stream's decoder waits for a key frame: the parameter sets that may
// have been sent once come along (PictureDecoder::Frame::parameter_sets). The first end of a call's
// process costs it nothing more, those that follow soon a growing wait (Backoff), in which its frames are
// dropped (ABORTED). A fork server that ends, or does nothing within frame_limit, is started again in the
// same way; that costs every call its process.
//
// Measured: a fork server takes 6 to 10 MB (its share of pages held by several processes counted), a decoder
// of a 640x480 camera 6 MB, of a 1280x720 one 13 MB with the picture. A call's first picture comes 2 to 3 ms
// after its first frame, the start of its process included.
//
// Why audio is not decoded this way: libopus takes no memory after its decoder of 18 kB is made, its packets
// are bounded in size and length, it has been fuzzed for years (here, too: opus_fuzzer), and 20 ms of audio
// take 25 to 45 us, less than two hand-overs between processes. Audio would wait for those at every packet.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "streaming/decoders/child_source.h"
#include "streaming/decoders/decode_queue.h"
#include "streaming/decoders/picture_decoders.h"

namespace parley::streaming {

struct ProcessDecodersOptions {
  std::string program;  // parley-decoder
  int64_t max_frame_bytes = 4 << 20;
  DecodePolicy policy = PolicyOfThisMachine();
  const Clock* clock = Clock::Real();
  // Something that an operator should know, in one line: a decoder that ended, a fork server that did. On the
  // thread of the decoders; must not block.
  std::function<void(const std::string& what)> on_incident;
};

class ProcessDecoders : public PictureDecoders {
 public:
  // Starts the fork server and waits until it has shown that it can make processes without rights, ten
  // seconds at most. FAILED_PRECONDITION: it cannot be had here (no such program, no seccomp).
  static absl::StatusOr<std::unique_ptr<ProcessDecoders>> Start(ProcessDecodersOptions options);
  // With another source, for tests.
  static absl::StatusOr<std::unique_ptr<ProcessDecoders>> Start(ProcessDecodersOptions options,
                                                                std::unique_ptr<ChildSource> source);

  // Looks at the clock again: it may have been moved by a test.
  virtual void Wake() = 0;
};

}  // namespace parley::streaming

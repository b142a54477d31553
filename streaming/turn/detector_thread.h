// The one thread that runs the speech detector, for all calls: what has arrived since the last pass goes into
// the next one as one batch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/api/speech_detector.h"

namespace parley::streaming {

// Thread-safe. Must outlive its streams.
class DetectorThread {
 public:
  // One call's windows, in order.
  class Stream {
   public:
    virtual ~Stream() = default;  // nothing is called back after this returns
    // `samples`: [SpeechDetector::kWindowSamples]. `done` runs on the detector's thread, in order, and must
    // not block. The queue is bounded by the caller (LiveCall: its audio backlog).
    virtual void Push(std::vector<float> samples, absl::AnyInvocable<void(absl::StatusOr<float>)> done) = 0;
  };

  virtual ~DetectorThread() = default;
  virtual std::unique_ptr<Stream> NewStream() = 0;

  // Starts the thread. `detector` must outlive it.
  static std::unique_ptr<DetectorThread> Start(engine::SpeechDetector* detector);
  // Runs each window at once inside Push, for tests in simulated time.
  static std::unique_ptr<DetectorThread> Inline(engine::SpeechDetector* detector);
};

}  // namespace parley::streaming

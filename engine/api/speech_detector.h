// Speech detection: is somebody talking in this window of audio? One model pass for many calls at once.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/api/media.h"

namespace parley::engine {

// Owned by whoever loaded the bundle. Detect is called by one thread at a time, the same one throughout; the
// other methods from any thread.
class SpeechDetector {
 public:
  static constexpr int kWindowSamples = 512;  // 32 ms

  // One call's recurrent state and left context. Used by the detecting thread only.
  class State {
   public:
    virtual ~State() = default;
    virtual void Reset() = 0;
  };
  struct Window {
    State* state = nullptr;           // windows of one state: oldest first, never twice in one batch
    absl::Span<const float> samples;  // [kWindowSamples]
    float probability = 0;            // out: 0 to 1
  };

  virtual ~SpeechDetector() = default;
  virtual std::string_view name() const = 0;
  virtual std::unique_ptr<State> NewState() const = 0;
  // A window's probability does not depend on the others in the batch.
  virtual absl::Status Detect(absl::Span<Window> batch) = 0;
};

}  // namespace parley::engine

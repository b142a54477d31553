// What work costs the fake's models, and what goes wrong in it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/fake/fake_engine.h"

namespace parley::engine {

// Each piece of work waits while the model is stalled, takes `cost` on the clock in use, and fails with what
// is due for its kind.
class FakeWork {
 public:
  explicit FakeWork(const FakeOptions& options) : simulated_(options.simulated), faults_(options.faults) {}

  absl::Status Step(absl::Duration cost) { return Do(cost, &FakeFaults::step_); }
  absl::Status EncodeFrames(absl::Duration cost) { return Do(cost, &FakeFaults::encode_); }
  absl::Status Transcribe(absl::Duration cost) { return Do(cost, &FakeFaults::transcription_); }

  // A prompt that holds `text` fails, with `status`.
  struct FailingPrompt {
    std::string text;  // empty: none does
    absl::Status status;
  };
  FailingPrompt failing_prompt() const;

 private:
  absl::Status Do(absl::Duration cost, absl::Status FakeFaults::*fault);

  SimulatedClock* const simulated_;
  const std::shared_ptr<FakeFaults> faults_;  // may be null
};

}  // namespace parley::engine

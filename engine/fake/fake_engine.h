// An engine without weights, for server tests, load tests and sanitizers: the runtime of the real one on a
// model whose arithmetic is a hash. The same conversation gives the same answer on every machine, alone or in
// a batch.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/api/engine.h"
#include "engine/api/speech_detector.h"
#include "engine/runtime/runtime_engine.h"

namespace parley::engine {

// What goes wrong, told while the engine runs. Thread-safe.
class FakeFaults {
 public:
  // The next call of its kind fails with `status`, once.
  void FailNextStep(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);
  void FailNextEncode(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);         // a pass over frames
  void FailNextTranscription(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);  // a pass over speech
  // From now on every step with a conversation whose prompt holds `text` fails; an empty text: none does.
  void FailConversationsHolding(std::string text, absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);
  // The model stands still, in the middle of what it does, until Resume.
  void Stall() ABSL_LOCKS_EXCLUDED(mutex_);
  void Resume() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class FakeWork;

  absl::Mutex mutex_;
  absl::Status step_ ABSL_GUARDED_BY(mutex_);
  absl::Status encode_ ABSL_GUARDED_BY(mutex_);
  absl::Status transcription_ ABSL_GUARDED_BY(mutex_);
  absl::Status holding_status_ ABSL_GUARDED_BY(mutex_);
  std::string holding_ ABSL_GUARDED_BY(mutex_);
  bool stalled_ ABSL_GUARDED_BY(mutex_) = false;
};

inline constexpr int64_t kFakePageBytes = 4096;

struct FakeOptions {
  bool hears = true;
  bool sees = true;
  int context_tokens = 8192;
  int64_t kv_bytes = int64_t{1} << 28;  // of its KV cache, as if it had one: kFakePageBytes a page
  int answer_tokens = 24;               // an answer ends by itself after this many
  // What work costs. Slept for on the model thread, so for load tests only; with `simulated`, that clock is
  // advanced instead.
  absl::Duration step_time;           // a step
  absl::Duration row_time;            // and each of its rows
  absl::Duration encode_pass_time;    // a pass of the vision encoder
  absl::Duration encode_time;         // and each of its frames
  absl::Duration transcription_time;  // a pass of the speech encoder: one each second of audio begun
  SimulatedClock* simulated = nullptr;
  std::shared_ptr<FakeFaults> faults;  // may be null
  RuntimeOptions runtime;
};

struct LoadedFake {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<SpeechDetector> speech_detector;
};

// `clock` must outlive the engine.
LoadedFake MakeFakeEngine(const FakeOptions& options, const Clock* clock);

// The engine's models alone, for tests of the runtime.
//
// Pictures are described by their mean colour ("a red picture"), speech by its length ("3.2 seconds of
// speech"). Answers are words chosen by a hash of the whole token history, some of them with characters that
// two tokens share.
Model MakeFakeModel(const FakeOptions& options);

// A window's probability is 1 when its root mean square is above 0.02, 0 otherwise.
std::unique_ptr<SpeechDetector> MakeFakeSpeechDetector();

}  // namespace parley::engine

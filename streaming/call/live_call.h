// One live call, from decoded wire messages to events: media decoding, speech detection, turns, frames, the
// conversation with the engine, interruption. Knows nothing of gRPC.
//
// Threads: every method is thread-safe and returns at once. Work runs on the call's strand over the media
// pool; speech windows go to the shared DetectorThread, pictures to the PictureDecoders, model work to the
// engine: none of them is waited for there. Events are given to the sink on the strand, in order. What is
// under way is bounded: audio by CallLimits::max_audio_backlog_ms and other messages by MessageBacklog::kMost
// (the owner stops reading while the call is `backlogged`), frames by latest-wins, one conversation operation
// of each kind.
//
// What the client sends about audio (activities, stream end, commit, clear, configuration, close) takes
// effect when all audio sent before it has been judged; the rest takes effect at once (input::Order). What
// hands a turn over by a message (text, ResponseCreate, ActivityEnd, commit, stream end) waits for the
// pictures sent before it to be decoded, at most CallVideo::kMaxHold.
//
// The destructor, or Abort, stops everything: nothing reaches the sink after Abort returns, and the engine's
// conversation is freed at its next step. Both may be called within OnEvent; otherwise they wait for an
// OnEvent that is under way, so the caller holds no lock that OnEvent takes. A frame that is being decoded
// just then comes to nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "engine/api/engine.h"
#include "streaming/api/call_config.h"
#include "streaming/api/call_events.h"
#include "streaming/api/call_inputs.h"

namespace parley::streaming {

class DetectorThread;
class PictureDecoders;

class CallSink {
 public:
  virtual ~CallSink() = default;
  // On the call's strand; must not block.
  virtual void OnEvent(CallEvent event) = 0;
};

class LiveCall {
 public:
  // All outlive the call; the media pool also outlives the engine and the detector's thread, which post to
  // it.
  struct Dependencies {
    engine::Engine* engine = nullptr;
    DetectorThread* detector = nullptr;   // null: MANUAL mode only
    PictureDecoders* pictures = nullptr;  // null: decoded on the strand, for tests
    Executor* media_pool = nullptr;
    const Clock* clock = nullptr;
  };

  // Errors are those of Engine::StartConversation, and INVALID_ARGUMENT for media the bundle does not take.
  static absl::StatusOr<std::unique_ptr<LiveCall>> Start(CallConfig config, CallLimits limits,
                                                         Dependencies dependencies, CallSink* sink);
  virtual ~LiveCall() = default;

  // `client_seq` comes back in a CallError that the input causes. An input that the call does not take, as
  // audio where it was opened without, is refused with one.
  virtual void Push(CallInput input, uint64_t client_seq) = 0;
  virtual void Abort() = 0;
  // Wall-clock duties (audio that stops in mid-speech); the owner calls it about ten times a second.
  virtual void Tick() = 0;

  // Audio accepted and not yet through the detector.
  virtual int audio_backlog_ms() const = 0;
  // More waits to be worked on than should: audio over its limit, or too many messages.
  virtual bool backlogged() const = 0;
  // Runs once when both have fallen to half their limits, on the strand; replaces an earlier one.
  virtual void NotifyWhenDrained(absl::AnyInvocable<void()> notify) = 0;
};

}  // namespace parley::streaming

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
// effect when all audio sent before it has been judged; the rest takes effect at once. What hands a turn over
// by a message (text, ResponseCreate, ActivityEnd, commit, stream end) waits for the pictures sent before it
// to be decoded, at most CallVideo::kMaxHold.
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

  // `captured`: on this server's clock (see CaptureClock); InfinitePast: not known. Audio: its last sample.
  // `client_seq` comes back in a CallError that the message causes.
  virtual void PushAudio(std::string data, uint64_t first_sample_index, absl::Time captured,
                         uint64_t client_seq) = 0;
  virtual void PushFrame(std::string data, uint64_t frame_id, int rotation_degrees, absl::Time captured,
                         uint64_t client_seq) = 0;
  virtual void PushText(std::string text, uint64_t client_seq) = 0;
  virtual void ActivityStart(uint64_t client_seq) = 0;
  virtual void ActivityEnd(uint64_t client_seq) = 0;
  virtual void AudioStreamEnd(uint64_t client_seq) = 0;
  virtual void CommitInput(uint64_t client_seq) = 0;
  virtual void ClearInput(uint64_t client_seq) = 0;
  virtual void CreateResponse(uint64_t client_seq) = 0;
  virtual void CancelResponse(uint64_t response_id, uint64_t client_seq) = 0;
  virtual void AckPlayback(uint64_t response_id, int heard_tokens, uint64_t client_seq) = 0;
  // Takes turn, generation and video_policy from `config`; answered by ConfigChanged.
  virtual void UpdateConfig(CallConfig config) = 0;
  // Finishes what is owed (speech under way is committed, its answer given), then CallEnded.
  virtual void Close() = 0;
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

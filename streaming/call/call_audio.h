// What a call hears: chunks of audio in, turns of the user out.
//
// A chunk is decoded, kept in the utterance buffer, and cut into windows for the speech detector; what the
// detector says goes to the endpointer. What the client orders (commit, clear, stream end, ...) is done when
// every window of the audio sent before it has been judged, so that a client may send faster than real time.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/running_clock.h"
#include "streaming/api/call_config.h"
#include "streaming/api/call_events.h"
#include "streaming/api/call_inputs.h"
#include "streaming/audio/audio_input.h"
#include "streaming/call/call_loop.h"
#include "streaming/turn/detector_thread.h"
#include "streaming/turn/endpointer.h"
#include "streaming/turn/utterance_buffer.h"

namespace parley::streaming {

// One turn of speech whose end was decided, or may have come. Indices at the declared input rate.
struct Utterance {
  CommitReason reason = CommitReason::kSilence;
  int64_t begin = 0;  // of the turn, at engine::kSampleRateHz
  uint64_t start_sample_index = 0;
  uint64_t end_sample_index = 0;
  std::vector<float> samples;  // none: no speech was heard in it
  absl::Time speech_captured =
      absl::InfinitePast();                      // the last sample held to be speech; InfinitePast: not known
  absl::Time speech_end = absl::InfinitePast();  // its arrival
  absl::Time end_decided = absl::InfinitePast();
  absl::Duration over_answer;  // how long it was, if it was said over an answer from beginning to end
};

// Used by the call's strand, but for what says otherwise.
class CallAudio {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    virtual void OnSpeechStarted(const SpeechStarted& event) = 0;
    virtual void OnSpeechStopped(const SpeechStopped& event) = 0;
    virtual void OnUtterance(Utterance utterance) = 0;
    // The user pauses: `so_far` is what OnUtterance hands over if the turn ends by this silence.
    virtual void OnPause(Utterance so_far) = 0;
    virtual void OnSpeechResumed() = 0;
    // The turn goes on: what there is of it.
    virtual void OnTurnGrown(std::vector<float> samples) = 0;
    // The client says so (ActivityStart).
    virtual void OnUserInterrupts() = 0;
    // Sound over an answer has lasted so long, and goes on; `samples`: all of the turn so far.
    virtual void OnSoundOverAnswer(absl::Duration speech, std::vector<float> samples) = 0;
    virtual void OnAudioWarning(CallCode code, std::string message) = 0;
    virtual void OnAudioError(CallCode code, std::string message, uint64_t client_seq, bool fatal) = 0;
  };

  // A warning of one kind is given at most once in this time; the next one says how many were left out.
  static constexpr absl::Duration kWarningInterval = absl::Seconds(1);
  // The network's jitter, where silence is not sent: wall time past `silence` without a chunk before the turn
  // is committed, and by how much less of it than max_audio_gap_ms a longer silence may be told.
  static constexpr absl::Duration kDtxMargin = absl::Milliseconds(250);
  // A tick that comes so long after the one before it is late, and the server with it. Less than what
  // RunningClock counts of a time in which the process stood still, however long that was.
  static constexpr absl::Duration kLateTick = absl::Milliseconds(400);
  static_assert(kLateTick < RunningClock::kLongestStep);

  // `detector` null: MANUAL mode only. INVALID_ARGUMENT when the format is out of range.
  static absl::StatusOr<std::unique_ptr<CallAudio>> Create(const AudioFormat& format, const TurnConfig& turn,
                                                           const CallLimits& limits, DetectorThread* detector,
                                                           std::shared_ptr<CallLoop> loop, const Clock* clock,
                                                           Host* host);

  // Any thread, before the chunk is posted to the strand: it counts as backlog from here.
  void Announce(size_t bytes) { backlog_samples_ += EstimateSamples(bytes); }
  int backlog_ms() const;  // any thread

  // REQUIRES: announced.
  void Push(input::Audio audio, uint64_t client_seq);
  // Runs when everything pushed so far has been judged; at once when it has.
  void InOrder(Task task);
  void NotifyWhenDrained(absl::AnyInvocable<void()> notify);

  // These act at once: call them within InOrder.
  void Configure(const TurnConfig& turn);
  void ActivityStart(uint64_t client_seq);
  void ActivityEnd(uint64_t client_seq);
  void StreamEnd();
  void Commit();
  void Clear();
  // The call ends: what was being said is committed, in both modes.
  void EndInput();

  // Commits an open turn for which no audio has come for too long. Silence is what samples say: wall time
  // without them says only that they are missing, and says it only of a server that is on time. `behind`: the
  // owner has left messages unread.
  void Tick(bool behind);
  // The pause that goes on is told once more, with the next window.
  void RepeatPause() { endpointer_.RepeatPause(); }
  void SetAnswerActive(bool active) { endpointer_.SetAnswerActive(active); }
  bool user_speaking() const { return endpointer_.turn_open(); }
  // Ends the detector's stream: no window is judged any more. Any thread.
  void Stop();

 private:
  struct Arrival {
    int64_t end_sample;
    absl::Time time;
    absl::Time captured;
  };
  struct WarningState {
    absl::Time last = absl::InfinitePast();
    int left_out = 0;
  };

  CallAudio(const AudioFormat& format, const TurnConfig& turn, const CallLimits& limits,
            DetectorThread* detector, std::shared_ptr<CallLoop> loop, const Clock* clock, Host* host);

  int64_t EstimateSamples(size_t bytes) const;
  void PushNow(const input::Audio& audio, uint64_t client_seq);
  void Decode(const input::Audio& audio, uint64_t client_seq);
  void Accept(const AudioSamples& audio, absl::Time captured);
  void Flush();
  void PumpWindows();
  void OnWindow(int64_t window_start, const absl::StatusOr<float>& probability);
  void RunDeferred();
  void AddBacklog(int64_t samples);
  void Handle(const TurnEvents& events);
  Utterance UtteranceOf(const TurnEvent& event) const;
  void Warn(CallCode code, std::string message);
  Arrival ArrivalOf(int64_t sample) const;
  int64_t ToMs(int64_t wire_samples) const { return wire_samples * 1000 / format_.sample_rate_hz; }

  const AudioFormat format_;
  const CallLimits limits_;
  DetectorThread* const detector_;
  const std::shared_ptr<CallLoop> loop_;
  const Clock* const clock_;
  Host* const host_;

  std::unique_ptr<AudioInput> input_;
  TurnConfig turn_;
  Endpointer endpointer_;
  UtteranceBuffer buffer_;
  int64_t next_window_ = 0;  // first sample of the next window
  int windows_in_flight_ = 0;
  std::deque<Task> deferred_;  // what waits for windows in flight; bounded by the audio backlog
  bool activity_ = false;      // MANUAL: between ActivityStart and ActivityEnd
  absl::Time last_arrival_ = absl::InfinitePast();
  absl::Time last_arrival_on_machine_ = absl::InfinitePast();  // the same by Clock::MachineTime
  absl::Time last_tick_ = absl::InfinitePast();
  absl::Time on_time_since_ = absl::InfinitePast();  // the server; what came before this may not be seen yet
  std::deque<Arrival> arrivals_;                     // of the samples that may still be needed
  std::map<CallCode, WarningState> warnings_;
  absl::AnyInvocable<void()> drained_;
  std::atomic<int64_t> backlog_samples_ = 0;

  absl::Mutex stream_mutex_;
  bool stopped_ ABSL_GUARDED_BY(stream_mutex_) = false;
  std::unique_ptr<DetectorThread::Stream> stream_ ABSL_GUARDED_BY(stream_mutex_);
};

}  // namespace parley::streaming

// When the user's turn starts and ends, and when what the user says interrupts an answer.
//
// Pure logic: no clock, no thread, no audio. Time is the sample index, which counts at engine::kSampleRateHz;
// the speech probability of each 32 ms window goes in, decisions come out.
//
// VAD mode. Speech is a run of windows: it begins with a window at the start threshold, goes on while windows
// reach the end threshold (start - 0.15, at least 0.01), and survives dips of up to kMaxDipSamples. A run
// with min_speech of such windows starts a turn, at the run's first sample less the prefix padding, but never
// before the end of the turn before it. The turn is committed after `silence` without such a window, or when
// it is max_turn long; in the second case the next turn begins where it ended, as soon as speech is seen to
// go on, and is held to be said over the answer to the first one, which begins at some time within it: a rest
// shorter than interruption_min_duration is no turn where interruption is enabled, whether that answer has
// begun or not. A pause is told once `speculation.pause` has passed without such a window, and the audio that
// a commit by silence would hand over is all there; the next such window ends it.
//
// Sound over an answer is told once it has lasted interruption_min_duration, as a run, and again each time
// that the turn has grown by half since, as long as the answer is active: whether it is an interruption its
// words say.
//
// While a turn goes on, in both modes, it is told each time that it has grown by half, from kFirstGrowth on:
// in VAD mode with a window of speech.
//
// MANUAL mode. A turn is open from ActivityStart to ActivityEnd; only max_turn ends it otherwise. Whether
// there is speech in it is judged all the same: min_speech of windows at the start threshold, one after the
// other but for such dips.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "engine/api/media.h"
#include "engine/api/speech_detector.h"
#include "streaming/api/call_config.h"
#include "streaming/api/call_events.h"

namespace parley::streaming {

struct TurnEvent {
  enum class Kind {
    kSpeechStarted,
    kSpeechStopped,
    kCommitted,
    kOverAnswer,  // sound over the answer may be an interruption: it is long enough
    kPaused,      // the turn may be over
    kResumed,     // it was not
    kGrown,       // there is more of it to hear
  };
  Kind kind = Kind::kSpeechStarted;
  // kSpeechStarted: where speech began. kSpeechStopped, kCommitted, kPaused: the end of the last window held
  // to be speech.
  int64_t sample = 0;
  float probability = 0;  // kSpeechStarted, kSpeechStopped: of the window that decided it
  // kCommitted: the turn's audio, [start, end). Empty: there is none. kPaused: what it would be. kGrown,
  // kOverAnswer: what there is of it.
  CommitReason reason = CommitReason::kSilence;
  int64_t start = 0;
  int64_t end = 0;
  bool has_speech = true;  // kCommitted; MANUAL mode: else the range holds claps, coughs, hum, or nothing
  // kOverAnswer: how long the user has been speaking over the answer. kCommitted, where interruption is
  // enabled: the same, of a turn that was said over the answer from beginning to end; of one that began over
  // an answer which has ended since, or is the rest of one that max_turn ended, how long it was if that is
  // less than interruption_min_duration; else zero.
  absl::Duration speech;
};
using TurnEvents = absl::InlinedVector<TurnEvent, 4>;

inline int64_t ToSamples(absl::Duration duration) {
  return absl::ToInt64Microseconds(duration) * engine::kSampleRateHz / 1'000'000;
}
inline absl::Duration SamplesToDuration(int64_t samples) {
  return absl::Microseconds(samples * 1'000'000 / engine::kSampleRateHz);
}

// Not thread-safe: used by one strand.
class Endpointer {
 public:
  static constexpr int64_t kWindow = engine::SpeechDetector::kWindowSamples;
  // Speech goes on over windows below the end threshold up to this long (the closure of a plosive).
  static constexpr int64_t kMaxDipSamples = 3 * kWindow;
  // Audio kept after the last window of speech, where the turn is ended by silence (a word's faint end).
  static constexpr int64_t kTailSamples = 6 * kWindow;

  // Shorter turns are read at once when they are over.
  static constexpr int64_t kFirstGrowth = 3 * engine::kSampleRateHz;

  explicit Endpointer(const TurnConfig& config) : config_(config) {}

  // Holds from the next window on. A turn that is open stays open, whatever the mode becomes: ActivityEnd or
  // InputCommit ends it in MANUAL mode, silence in VAD mode.
  void Configure(const TurnConfig& config);

  // The next window. Windows follow each other without a gap (see Restart).
  TurnEvents Push(int64_t window_start, float probability);

  // Whether there is an answer that can be interrupted: one that is owed, being made or being heard.
  // Speech from before it became active does not count towards an interruption.
  void SetAnswerActive(bool active);

  // A pause that goes on is told once more, with the next window.
  void RepeatPause() { paused_ = false; }

  // MANUAL mode. `now`: index of the next sample to come. No-op when a turn is open.
  void ActivityStart(int64_t now);
  // Ends the open turn; without one, nothing.
  TurnEvents ActivityEnd(int64_t now) { return EndOpenTurn(CommitReason::kActivityEnd, now); }
  // The signal has ended, or has not come for too long: ends the open turn; without one, nothing.
  TurnEvents EndOpenTurn(CommitReason reason, int64_t now);
  // Commits what there is since the last turn. VAD mode, no turn open: from the first window that may have
  // been speech, less the prefix padding; the range is empty when there was none. At most the last max_turn
  // and prefix padding.
  TurnEvents Commit(int64_t now);
  // Forgets what was said since the last turn; audio before `now` enters no later turn.
  void Clear(int64_t now);
  // The next window starts here, not where the last one ended. Ends nothing: see EndOpenTurn.
  void Restart(int64_t next_window_start) { Clear(next_window_start); }

  // A turn has started and is not committed yet.
  bool turn_open() const { return open_; }
  // How long the open turn's speech has been followed by silence, so far as windows came.
  absl::Duration silence() const { return SamplesToDuration(open_ ? position_ - speech_end_ : 0); }
  // Audio before this enters no turn any more.
  int64_t needed_from() const;

 private:
  // Windows of speech that follow each other, dips included.
  struct Run {
    int64_t start = 0;
    int64_t end = 0;
    int64_t voiced_samples = 0;      // without the dips
    int64_t voiced_over_answer = 0;  // of these, while an answer was active; of a rest, all
    bool rest = false;               // it goes on from a turn that max_turn ended
  };

  float end_threshold() const;
  int64_t LongestTurn() const;
  int64_t PaddedStart(int64_t sample) const;
  bool PauseIsDue() const;
  void TellGrowth(TurnEvents& events);
  void TellOverAnswer(float probability, TurnEvents& events);
  // Whether this window is part of a run of speech, which goes on at `threshold`.
  bool TrackRun(int64_t window_start, float probability, float threshold);
  bool IsSpeech(const Run& run) const { return run.voiced_samples >= ToSamples(config_.min_speech); }
  void OpenTurn(int64_t speech_start, int64_t turn_start);
  TurnEvent CloseTurn(CommitReason reason, int64_t end);

  TurnConfig config_;
  int64_t position_ = 0;    // end of the last window
  int64_t turn_floor_ = 0;  // end of the last turn
  std::optional<Run> run_;
  std::optional<int64_t> first_voiced_;  // since the last turn
  bool answer_active_ = false;

  int64_t speech_until_ = 0;  // end of the last window that made a turn, or would have in VAD mode

  bool open_ = false;
  // Of the open turn:
  int64_t turn_start_ = 0;  // with padding
  int64_t speech_start_ = 0;
  int64_t speech_end_ = 0;    // so far
  bool paused_ = false;       // it has been told
  int64_t next_growth_ = 0;   // of its length
  bool rest_ = false;         // its run is one
  bool over_answer_ = false;  // it is one, or began while the answer that is active, or was the last one, was
  int64_t voiced_ = 0;        // without the dips
  int64_t voiced_over_answer_ = 0;
  int64_t next_over_answer_ = 0;  // of its length, when it is told again; 0: it was not told
};

}  // namespace parley::streaming

// What a live call tells its owner; each mirrors the message of the same name in parley/v1/parley.proto,
// where the fields are documented. Sample indices are at the declared input rate.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/api/conversation.h"
#include "engine/api/generation.h"
#include "streaming/api/call_config.h"

namespace parley::streaming {

// Mirrors parley.v1.Code, for what can go wrong once a call is open.
enum class CallCode {
  kInvalidSequence,
  kInvalidMessage,
  kUndecodableAudio,
  kTooLarge,
  kAudioGap,
  kAudioOverlap,
  kWrongMode,
  kUnknownResponse,
  kContextFull,
  kEngineFailed,
  kInternal,
};

enum class DropReason {
  kNone,
  kSampledOut,
  kSceneUnchanged,
  kSuperseded,
  kUndecodable,
  kWaitingForKeyFrame,
  kOverloaded,
  kCleared,
};

enum class CommitReason {
  kSilence,
  kMaxTurn,
  kActivityEnd,
  kInputCommit,
  kAudioStreamEnd,
  kText,
  kResponseCreate,
  kAudioIdle,
};

struct ConfigChanged {
  CallConfig config;
};
struct InputStatus {
  uint64_t frame_id = 0;
  bool encoded = false;
  DropReason reason = DropReason::kNone;
  float suggested_fps = 0;
  std::string description;
  int tokens = 0;
  std::string detail;
  absl::Duration age = absl::InfiniteDuration();  // since its capture; infinite: not known
  engine::OperationTimes times;                   // when it was encoded
};
struct SpeechStarted {
  uint64_t sample_index = 0;
  float probability = 0;
};
struct SpeechStopped {
  uint64_t sample_index = 0;
  float probability = 0;
};
enum class DismissReason { kTooShort, kNoWords, kCleared };
// The turn that SpeechStarted began is none.
struct SpeechDismissed {
  DismissReason reason = DismissReason::kTooShort;
};
struct TurnCommitted {
  CommitReason reason = CommitReason::kSilence;
  uint64_t start_sample_index = 0;
  uint64_t end_sample_index = 0;
  std::vector<uint64_t> frame_ids;
};
struct InputTranscript {
  std::string text;
  std::string language;
};
struct ResponseStarted {};
struct TokenDelta {
  std::string text;
  int tokens = 0;
  absl::Time made;  // when the engine had it
};
struct Interrupted {
  int tokens_kept = 0;
  absl::Duration speech;
};
// Sound over the answer may be an interruption: nothing of the answer goes out until that is known.
struct ResponsePaused {
  absl::Duration speech;
};
// It was none: the answer goes on.
struct ResponseResumed {};
enum class ResponseEnd {
  kEndOfTurn,
  kMaxTokens,
  kStopString,
  kCancelled,
  kInterrupted,
  kFailed,
  kContextFull,
};
struct ResponseDone {
  ResponseEnd reason = ResponseEnd::kEndOfTurn;
  engine::Usage usage;
  int context_tokens = 0;
};
// The engine dropped the oldest turns; the call goes on. Comes between other events whenever it happens, and
// belongs to no turn.
struct ContextCompacted {
  engine::Compaction compaction;
};
enum class SpeculationOutcome { kNone, kHit, kMiss };
// Moments, not durations: the server knows when the first token was written and makes the durations of
// parley.v1.TurnMetrics from them. InfinitePast: did not happen.
struct TurnTimes {
  absl::Time speech_captured = absl::InfinitePast();  // the last sample held to be speech, on this clock
  absl::Time speech_end = absl::InfinitePast();       // arrival of the last sample held to be speech
  absl::Time end_decided = absl::InfinitePast();
  absl::Time speech_queued = absl::InfinitePast();
  absl::Time encode_start = absl::InfinitePast();
  absl::Time encode_end = absl::InfinitePast();
  absl::Time prefill_queued = absl::InfinitePast();
  absl::Time prefill_start = absl::InfinitePast();
  absl::Time prefill_end = absl::InfinitePast();
  absl::Time first_token = absl::InfinitePast();
  absl::Time last_token = absl::InfinitePast();
  int transcript_tokens = 0;
  int transcript_tokens_early = 0;
  int tokens_prefilled_early = 0;
  int tokens_prefilled = 0;
  absl::Duration speech;
  int answer_tokens = 0;
  SpeculationOutcome speculation = SpeculationOutcome::kNone;  // kHit: stages may lie before end_decided
  int speculations = 0;
  int wasted_tokens = 0;
};
struct CallWarning {
  CallCode code = CallCode::kInternal;
  std::string message;
};
struct CallError {
  CallCode code = CallCode::kInternal;
  std::string message;
  uint64_t client_seq = 0;
  bool fatal = false;  // the last event; the owner ends the stream
};
// The call has nothing left to say: it was closed and what it owed is done. The last event.
struct CallEnded {};

struct CallEvent {
  uint64_t epoch = 0;
  uint64_t turn_id = 0;
  uint64_t response_id = 0;
  std::variant<ConfigChanged, InputStatus, SpeechStarted, SpeechStopped, SpeechDismissed, TurnCommitted,
               InputTranscript, ResponseStarted, TokenDelta, ResponsePaused, ResponseResumed, Interrupted,
               ResponseDone, ContextCompacted, TurnTimes, CallWarning, CallError, CallEnded>
      payload;
};

}  // namespace parley::streaming

// What a call can be told, with the defaults of parley.v1.SessionConfig. Ranges are checked by the server.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "engine/api/conversation.h"
#include "engine/api/generation.h"
#include "proto/constants/call_config.h"
#include "streaming/audio/audio_input.h"
#include "streaming/video/frame_sampler.h"
#include "streaming/video/video_input.h"

namespace parley::streaming {

enum class TurnMode { kVad, kManual };

// Answers begun at a pause in the user's speech, in case it is the end of the turn; see responses.h.
struct SpeculationConfig {
  bool enabled = contract::Speculation::kEnabledDefault;
  // In one turn, after the first that came to nothing.
  int max_retries = contract::Speculation::kMaxRetriesDefault;
  absl::Duration pause = absl::Milliseconds(contract::Speculation::kPauseMsDefault);
};

struct TurnConfig {
  TurnMode mode = TurnMode::kVad;
  float start_threshold = contract::TurnConfig::kStartThresholdDefault;
  absl::Duration min_speech = absl::Milliseconds(contract::TurnConfig::kMinSpeechMsDefault);
  absl::Duration prefix_padding = absl::Milliseconds(contract::TurnConfig::kPrefixPaddingMsDefault);
  absl::Duration silence = absl::Milliseconds(contract::TurnConfig::kSilenceMsDefault);
  absl::Duration max_turn = absl::Milliseconds(contract::TurnConfig::kMaxTurnMsDefault);
  absl::Duration audio_idle = absl::Milliseconds(contract::TurnConfig::kAudioIdleMsDefault);
  bool interruption_enabled = contract::Interruption::kEnabledDefault;
  absl::Duration interruption_min_duration =
      absl::Milliseconds(contract::Interruption::kMinDurationMsDefault);
  SpeculationConfig speculation;
};

struct CallConfig {
  std::string instructions;
  std::optional<AudioFormat> audio;
  std::optional<VideoCodec> video;
  TurnConfig turn;
  engine::GenerationConfig generation;
  VideoPolicy video_policy;
  engine::ContextPolicy context_policy;  // not changed in a live call
};

struct CallLimits {
  int max_audio_gap_ms = 5'000;
  int max_audio_backlog_ms = 10'000;  // audio accepted and not yet through the speech detector
  int64_t max_video_pixels = 4096 * 4096;
};

}  // namespace parley::streaming

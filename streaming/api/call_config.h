// What a call can be told, with the defaults of parley.v1.SessionConfig. Ranges are checked by the server.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "engine/api/conversation.h"
#include "engine/api/generation.h"
#include "streaming/audio/audio_input.h"
#include "streaming/video/frame_sampler.h"
#include "streaming/video/video_input.h"

namespace parley::streaming {

enum class TurnMode { kVad, kManual };

// Answers begun at a pause in the user's speech, in case it is the end of the turn; see responses.h.
struct SpeculationConfig {
  bool enabled = true;
  int max_retries = 5;  // in one turn, after the first that came to nothing
  absl::Duration pause = absl::Milliseconds(192);
};

struct TurnConfig {
  TurnMode mode = TurnMode::kVad;
  float start_threshold = 0.5f;
  absl::Duration min_speech = absl::Milliseconds(96);
  absl::Duration prefix_padding = absl::Milliseconds(300);
  absl::Duration silence = absl::Milliseconds(500);
  absl::Duration max_turn = absl::Seconds(60);
  absl::Duration audio_idle = absl::Seconds(3);  // longer than a phone takes from one network to the next
  bool interruption_enabled = true;
  absl::Duration interruption_min_duration = absl::Milliseconds(500);
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

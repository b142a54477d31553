// How an answer is made, and how it ended.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/constants/call_config.h"

namespace parley::engine {

// Ranges and defaults are those of parley.v1.GenerationConfig; the server checks the ranges.
struct GenerationConfig {
  int max_tokens = contract::GenerationConfig::kMaxTokensDefault;
  float temperature = contract::GenerationConfig::kTemperatureDefault;  // 0: greedy
  int top_k = contract::GenerationConfig::kTopKDefault;                 // 0: all
  float top_p = contract::GenerationConfig::kTopPDefault;
  float repetition_penalty = contract::GenerationConfig::kRepetitionPenaltyDefault;  // 1: off
  uint64_t seed = contract::GenerationConfig::kSeedDefault;
  std::vector<std::string> stop;  // the answer ends before the first of these
};

enum class FinishReason { kEndOfTurn, kMaxTokens, kStopString, kCancelled, kContextFull, kFailed };

// Tokens, by where they came from.
struct Usage {
  int text_tokens = 0;
  int speech_tokens = 0;
  int frame_tokens = 0;
  int template_tokens = 0;  // roles and separators
  int answer_tokens = 0;
};

}  // namespace parley::engine

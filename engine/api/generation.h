// How an answer is made, and how it ended.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace parley::engine {

// Ranges are those of parley.v1.GenerationConfig; the server checks them.
struct GenerationConfig {
  int max_tokens = 256;
  float temperature = 0;  // 0: greedy
  int top_k = 0;          // 0: all
  float top_p = 1;
  float repetition_penalty = 1;  // 1: off
  uint64_t seed = 0;
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

// A committed turn of the user, on its way to the model.
#pragma once

#include <cstdint>
#include <string>

#include "engine/api/conversation.h"
#include "streaming/call/call_audio.h"

namespace parley::streaming {

struct UserTurn {
  uint64_t id = 0;
  std::string text;     // TEXT
  Utterance utterance;  // the others; RESPONSE_CREATE and TEXT have no samples
  // How often it was speculated on, and the tokens held for what came to nothing. Filled in by Responses.
  int speculations = 0;
  int wasted_tokens = 0;
};

}  // namespace parley::streaming

// What a Whisper consists of, for this folder and its tests.
#pragma once

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "engine/text/tokenizer.h"
#include "engine/whisper/config.h"
#include "engine/whisper/decoding_rules.h"
#include "engine/whisper/networks.h"
#include "engine/whisper/special_tokens.h"
#include "engine/whisper/whisper.h"

namespace parley::engine::whisper {

struct Whisper::Parts {
  Config config;
  SpecialTokens tokens;
  std::unique_ptr<const text::Tokenizer> tokenizer;
  TokenId language = -1;  // -1: detected, or an English-only model
  std::unique_ptr<Networks> networks;
  DecodingRules rules;
};

}  // namespace parley::engine::whisper

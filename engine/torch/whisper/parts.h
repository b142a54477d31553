// A loaded Whisper, for this folder and its tests.
#pragma once

#include <memory>
#include <string>

#include "engine/text/tokenizer.h"
#include "engine/torch/log_mel.h"
#include "engine/torch/whisper/config.h"
#include "engine/torch/whisper/decoder.h"
#include "engine/torch/whisper/decoding_rules.h"
#include "engine/torch/whisper/encoder.h"
#include "engine/torch/whisper/special_tokens.h"
#include "engine/torch/whisper/whisper.h"

namespace parley::engine::whisper {

struct Whisper::Parts {
  Config config;
  SpecialTokens tokens;
  std::unique_ptr<const text::Tokenizer> tokenizer;
  TokenId language = -1;  // -1: detected, or an English-only model
  LogMel log_mel;
  Encoder encoder;
  Decoder decoder;
  DecodingRules rules;
};

}  // namespace parley::engine::whisper

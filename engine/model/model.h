// The set of models that conversations run on: a language model, and encoders of what stands before it. The
// arithmetic, and nothing of calls, queues or clocks. engine/assembly makes it of a bundle's real weights,
// engine/fake without any.
//
// The runtime owns it. Its info, tokenizer and layout may be read by any thread; the rest is used by the
// model thread only, but for what language_model.h says.
#pragma once

#include <memory>

#include "engine/api/engine.h"
#include "engine/model/encoder.h"
#include "engine/model/language_model.h"
#include "engine/text/prompt_layout.h"
#include "engine/text/tokenizer.h"

namespace parley::engine {

struct Model {
  bool hears() const { return speech_encoder != nullptr; }
  bool sees() const { return frame_encoder != nullptr; }

  EngineInfo info;
  std::unique_ptr<const text::Tokenizer> tokenizer;
  std::unique_ptr<const text::PromptLayout> layout;  // in the tokenizer's tokens
  std::unique_ptr<LanguageModel> language_model;
  std::unique_ptr<SpeechEncoder> speech_encoder;  // null: it does not hear
  std::unique_ptr<FrameEncoder> frame_encoder;    // null: it does not see
};

}  // namespace parley::engine

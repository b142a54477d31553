// One answer, from tokens to text: sampling, whole characters, stop strings.
#pragma once

#include <string>
#include <vector>

#include "engine/api/generation.h"
#include "engine/text/detokenizer.h"
#include "engine/text/sampler.h"
#include "engine/text/stop_strings.h"
#include "engine/text/tokenizer.h"

namespace parley::engine {

// One thread.
class AnswerStream {
 public:
  // `tokenizer` must outlive the stream.
  AnswerStream(const GenerationConfig& config, const text::Tokenizer* tokenizer)
      : tokenizer_(tokenizer), sampler_(config, tokenizer->size()), stop_(config.stop) {}

  // Chooses the answer's tokens.
  text::Sampler* sampler() { return &sampler_; }
  // Takes a token of the answer; returns the text that is certain now.
  std::string Add(TokenId token);
  // What was held back, at an answer's end that is no stop string.
  std::string Finish();

  bool stopped() const { return stop_.stopped(); }
  // How many of the answer's tokens the text returned so far is made of; a token it ends inside counts.
  int text_tokens() const;

 private:
  std::string Count(std::string text);

  const text::Tokenizer* const tokenizer_;
  text::Sampler sampler_;
  text::Detokenizer detokenizer_;
  text::StopStrings stop_;
  std::vector<size_t> ends_;  // by token: bytes of text complete with it
  size_t complete_ = 0;       // the last of those
  size_t returned_ = 0;       // bytes
};

}  // namespace parley::engine

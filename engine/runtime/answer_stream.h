// One answer, from scores to text: sampling, whole characters, stop strings.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
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
      : tokenizer_(tokenizer), sampler_(config), stop_(config.stop) {}

  // See text::Sampler. Scores past the tokenizer's last token (padding of the head) are not looked at.
  absl::StatusOr<TokenId> Sample(absl::Span<float> logits, absl::Span<const TokenId> answer);
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

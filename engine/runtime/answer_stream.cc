#include "engine/runtime/answer_stream.h"

#include <algorithm>
#include <utility>

namespace parley::engine {

std::string AnswerStream::Count(std::string text) {
  returned_ += text.size();
  return text;
}

std::string AnswerStream::Add(TokenId token) {
  const std::string text = detokenizer_.Add(tokenizer_->Decode(token));
  complete_ += text.size();
  ends_.push_back(complete_);
  return Count(stop_.Add(text));
}

std::string AnswerStream::Finish() {
  std::string text = stop_.Add(detokenizer_.Finish());
  if (!stop_.stopped()) text += stop_.Finish();
  return Count(std::move(text));
}

int AnswerStream::text_tokens() const {
  if (returned_ == 0) return 0;
  const auto covering = std::lower_bound(ends_.begin(), ends_.end(), returned_);
  return static_cast<int>(std::min<ptrdiff_t>(covering - ends_.begin() + 1, ends_.size()));
}

}  // namespace parley::engine

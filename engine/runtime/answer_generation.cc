#include "engine/runtime/answer_generation.h"

#include <string>
#include <utility>

namespace parley::engine {

AnswerGeneration::AnswerGeneration(const op::Answer& answer, absl::Time queued, ConversationHistory* history,
                                   const Model* model, const Clock* clock)
    : listener_(answer.listener),
      max_tokens_(answer.config.max_tokens),
      history_(history),
      model_(model),
      clock_(clock),
      stream_(answer.config, model->tokenizer.get()) {
  result_.queued = queued;
  result_.prefill_start = result_.prefill_end = clock_->Now();
  result_.first_token = result_.last_token = absl::InfiniteFuture();
}

RowRequest* AnswerGeneration::RequestToken(int row) {
  request_ = {
      .row = row, .sampler = stream_.sampler(), .answer = history_->answer_tokens(), .token = &token_};
  return &request_;
}

absl::StatusOr<std::optional<FinishReason>> AnswerGeneration::TakeToken() {
  if (history_->answer_tokens().empty()) result_.prefill_end = clock_->Now();
  if (!token_.ok()) return token_.status();
  const TokenId token = *token_;
  if (model_->layout->EndsAnswer(token) || model_->tokenizer->IsControl(token)) {
    return FinishReason::kEndOfTurn;
  }
  history_->AppendAnswerToken(token);
  const int made = static_cast<int>(history_->answer_tokens().size());
  const absl::Time now = clock_->Now();
  if (made == 1) result_.first_token = now;
  result_.last_token = now;
  std::string text = stream_.Add(token);
  if (!text.empty()) listener_->OnText(std::move(text), stream_.text_tokens());
  if (stream_.stopped()) return FinishReason::kStopString;
  if (made >= max_tokens_) return FinishReason::kMaxTokens;
  if (!history_->AnswerTokenFits()) return FinishReason::kContextFull;
  return std::nullopt;
}

AnswerResult AnswerGeneration::Finish(FinishReason reason, const absl::Status& status) {
  const bool whole = reason == FinishReason::kEndOfTurn || reason == FinishReason::kMaxTokens ||
                     reason == FinishReason::kContextFull;
  int tokens = static_cast<int>(history_->answer_tokens().size());
  if (whole) {
    std::string remainder = stream_.Finish();
    if (!remainder.empty()) listener_->OnText(std::move(remainder), tokens);
  }
  // The stop string, and what came after it in the same token, is no part of the answer.
  if (reason == FinishReason::kStopString) tokens = stream_.text_tokens();
  if (tokens == 0 && (reason == FinishReason::kCancelled || !status.ok())) {
    history_->Abandon();
  } else {
    history_->CloseAnswer(tokens);
  }
  result_.reason = reason;
  result_.status = status;
  result_.answer_tokens = tokens;
  result_.turn_usage = history_->turn_usage();
  result_.context_tokens = history_->held();
  return std::move(result_);
}

}  // namespace parley::engine

// One answer while it is generated: tokens into history, and text to its listener.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/api/conversation.h"
#include "engine/model/model.h"
#include "engine/runtime/answer_stream.h"
#include "engine/runtime/conversation_history.h"

namespace parley::engine {

// Model thread only.
class AnswerGeneration {
 public:
  // REQUIRES: the answer is open in `history`. `history`, `model` and `clock` must outlive it.
  AnswerGeneration(const op::Answer& answer, absl::Time queued, ConversationHistory* history,
                   const Model* model, const Clock* clock);

  // Prefill of the tokens that open the answer begins.
  void PrefillBegins() { result_.prefill_start = clock_->Now(); }
  // Asks for the next token, after a step's row `row`. Lives until the step is complete.
  RowRequest* RequestToken(int row);
  // Takes it. Returns how the answer ends with it, if it does. An error: the scores gave no token.
  absl::StatusOr<std::optional<FinishReason>> TakeToken();
  // Ends the answer in history, and gives its listener the text that was held back. The result is what the
  // listener is to be told last.
  AnswerResult Finish(FinishReason reason, const absl::Status& status);

 private:
  const std::shared_ptr<AnswerListener> listener_;
  const int max_tokens_;
  ConversationHistory* const history_;
  const Model* const model_;
  const Clock* const clock_;
  AnswerStream stream_;
  absl::StatusOr<TokenId> token_ = absl::UnknownError("no step was run");
  RowRequest request_;
  AnswerResult result_;
};

}  // namespace parley::engine

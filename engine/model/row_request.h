// What a step of the language model returns of one of its rows. A device computes what is asked for and
// returns no more: a row of scores is up to 600 kB.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/text/sampler.h"
#include "engine/text/token.h"

namespace parley::engine {

// What is null is not asked for.
struct RowRequest {
  int row = 0;  // of its entry

  // The token that `sampler` chooses to come after the row. `answer`: the answer's tokens so far. An error:
  // the scores give no token.
  text::Sampler* sampler = nullptr;
  absl::Span<const TokenId> answer = {};
  absl::StatusOr<TokenId>* token = nullptr;

  // The scores of these tokens, in their order. Each is in the vocabulary.
  absl::Span<const TokenId> named = {};
  std::vector<float>* named_scores = nullptr;

  std::vector<float>* scores = nullptr;  // of all tokens: resized to [vocabulary]
  std::vector<float>* hidden = nullptr;  // the last hidden state, normalised: resized to [hidden]

  bool wants_scores() const { return token != nullptr || named_scores != nullptr || scores != nullptr; }
};

// Answers everything but `hidden` from the row's scores in the processor's memory: [vocabulary], which the
// sampler changes.
void AnswerFromScores(const RowRequest& request, absl::Span<float> row);

}  // namespace parley::engine

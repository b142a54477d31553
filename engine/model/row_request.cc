#include "engine/model/row_request.h"

namespace parley::engine {

void AnswerFromScores(const RowRequest& request, absl::Span<float> row) {
  if (request.scores != nullptr) request.scores->assign(row.begin(), row.end());
  if (request.named_scores != nullptr) {
    request.named_scores->clear();
    for (const TokenId token : request.named) request.named_scores->push_back(row[token]);
  }
  if (request.token != nullptr) *request.token = request.sampler->Sample(row, request.answer);
}

}  // namespace parley::engine

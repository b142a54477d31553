#include "engine/model/step_entry_check.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace parley::engine {
namespace {

absl::Status CheckTokens(absl::Span<const TokenId> tokens, int vocabulary) {
  for (const TokenId token : tokens) {
    if (token < 0 || token >= vocabulary)
      return absl::InvalidArgumentError(
          absl::StrCat("token ", token, " is outside the vocabulary of ", vocabulary));
  }
  return absl::OkStatus();
}

absl::Status CheckFeatures(const FeatureRows& rows, int first, int count, const LanguageModel& model) {
  const Features& features = *rows.features;
  if (features.hidden != model.hidden()) {
    return absl::InvalidArgumentError(absl::StrCat("features of width ", features.hidden,
                                                   "; the model's hidden states have ", model.hidden()));
  }
  if (features.device != model.device())
    return absl::InvalidArgumentError("features on another device than the model");
  if (rows.count < 1 || rows.row < first || rows.row > count - rows.count || rows.begin < 0 ||
      rows.begin > features.rows - rows.count) {
    return absl::InvalidArgumentError(absl::StrCat("features [", rows.begin, ", +", rows.count, ") of ",
                                                   features.rows, " at row ", rows.row, " of ", count));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckEntry(const StepEntry& entry, const LanguageModel& model, int context) {
  const int rows = static_cast<int>(entry.tokens.size());
  if (rows == 0) return absl::InvalidArgumentError("a step entry without tokens");
  const int64_t after = entry.sequence->length() + static_cast<int64_t>(rows);
  if (after > context) {
    return absl::InvalidArgumentError(
        absl::StrCat("a sequence of ", after, " tokens passes the context of ", context));
  }
  int next = 0;
  for (const FeatureRows& features : entry.features) {
    if (absl::Status status = CheckFeatures(features, next, rows, model); !status.ok()) return status;
    const auto before = entry.tokens.subspan(next, features.row - next);
    if (absl::Status status = CheckTokens(before, model.vocabulary()); !status.ok()) return status;
    next = features.row + features.count;
  }
  if (absl::Status status = CheckTokens(entry.tokens.subspan(next), model.vocabulary()); !status.ok())
    return status;
  int last = -1;
  for (const RowRequest& request : entry.requests) {
    if (request.row <= last || request.row >= rows)
      return absl::InvalidArgumentError(absl::StrCat("a request of row ", request.row, " of ", rows));
    if (absl::Status status = CheckTokens(request.named, model.vocabulary()); !status.ok()) return status;
    last = request.row;
  }
  return absl::OkStatus();
}

}  // namespace parley::engine

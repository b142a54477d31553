#include "bench/greedy_model.h"

#include <utility>

#include "engine/schedule/step_planner.h"
#include "engine/text/largest.h"

namespace parley::bench {
namespace {

using engine::TokenId;

class EngineGreedyModel final : public GreedyModel {
 public:
  explicit EngineGreedyModel(engine::LanguageModel* model) : model_(model) {}

  absl::Status Start(int slots, int) override {
    sequences_.clear();
    for (int i = 0; i < slots; ++i) {
      absl::StatusOr<std::unique_ptr<engine::Sequence>> sequence = model_->NewSequence();
      if (!sequence.ok()) return sequence.status();
      sequences_.push_back(*std::move(sequence));
    }
    logits_.resize(slots);
    return absl::OkStatus();
  }

  // A prompt of more tokens than the server runs in one step is run in several, as there.
  absl::Status Step(absl::Span<Rows> rows) override {
    constexpr size_t kMostRows = engine::schedule::StepLimits{}.max_rows;
    entries_.clear();
    for (const Rows& row : rows) {
      engine::StepEntry entry = {sequences_[row.slot].get(), row.tokens};
      for (; entry.tokens.size() > kMostRows; entry.tokens.remove_prefix(kMostRows)) {
        engine::StepEntry part = {entry.sequence, entry.tokens.first(kMostRows)};
        if (absl::Status status = model_->Step(absl::MakeSpan(&part, 1)); !status.ok()) return status;
      }
      entry.logits = &logits_[row.slot];
      entries_.push_back(entry);
    }
    if (absl::Status status = model_->Step(absl::MakeSpan(entries_)); !status.ok()) return status;
    for (Rows& row : rows) {
      const std::vector<float>& logits = logits_[row.slot];
      row.next = static_cast<TokenId>(engine::text::IndexOfLargest(logits));
    }
    return absl::OkStatus();
  }

 private:
  engine::LanguageModel* const model_;
  std::vector<std::unique_ptr<engine::Sequence>> sequences_;
  std::vector<std::vector<float>> logits_;  // by slot
  std::vector<engine::StepEntry> entries_;
};

}  // namespace

std::unique_ptr<GreedyModel> MakeGreedy(engine::LanguageModel* model) {
  return std::make_unique<EngineGreedyModel>(model);
}

absl::StatusOr<std::vector<TokenId>> Predict(GreedyModel& model, absl::Span<const TokenId> prompt,
                                             absl::Span<const TokenId> text) {
  if (absl::Status status = model.Start(1, static_cast<int>(prompt.size() + text.size())); !status.ok()) {
    return status;
  }
  std::vector<TokenId> predicted;
  GreedyModel::Rows rows = {0, prompt};
  for (size_t i = 0; i < text.size(); ++i) {
    if (absl::Status status = model.Step(absl::MakeSpan(&rows, 1)); !status.ok()) return status;
    predicted.push_back(rows.next);
    rows.tokens = text.subspan(i, 1);
  }
  return predicted;
}

}  // namespace parley::bench

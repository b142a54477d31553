#include "bench/greedy_model.h"

#include <utility>

#include "engine/schedule/step_planner.h"
#include "engine/text/sampler.h"

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
    samplers_.clear();
    for (int i = 0; i < slots; ++i) samplers_.emplace_back(engine::GenerationConfig{.temperature = 0});
    tokens_.assign(slots, absl::UnknownError("no step was run"));
    return absl::OkStatus();
  }

  // A prompt of more tokens than the server runs in one step is run in several, as there.
  absl::Status Step(absl::Span<Rows> rows) override {
    constexpr size_t kMostRows = engine::schedule::StepLimits{}.max_rows;
    entries_.clear();
    requests_.clear();
    requests_.reserve(rows.size());  // entries point at them
    for (const Rows& row : rows) {
      engine::StepEntry entry = {sequences_[row.slot].get(), row.tokens};
      for (; entry.tokens.size() > kMostRows; entry.tokens.remove_prefix(kMostRows)) {
        engine::StepEntry part = {entry.sequence, entry.tokens.first(kMostRows)};
        if (absl::Status status = model_->Step({&part, 1}); !status.ok()) return status;
      }
      requests_.push_back({.row = static_cast<int>(entry.tokens.size()) - 1,
                           .sampler = &samplers_[row.slot],
                           .token = &tokens_[row.slot]});
      entry.requests = {&requests_.back(), 1};
      entries_.push_back(entry);
    }
    if (absl::Status status = model_->Step(entries_); !status.ok()) return status;
    for (Rows& row : rows) {
      if (!tokens_[row.slot].ok()) return tokens_[row.slot].status();
      row.next = *tokens_[row.slot];
    }
    return absl::OkStatus();
  }

 private:
  engine::LanguageModel* const model_;
  std::vector<std::unique_ptr<engine::Sequence>> sequences_;
  std::vector<engine::text::Sampler> samplers_;  // by slot
  std::vector<absl::StatusOr<TokenId>> tokens_;  // by slot
  std::vector<engine::RowRequest> requests_;
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

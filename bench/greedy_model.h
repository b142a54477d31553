// A language model as the suites compare it: conversations in slots, greedy choice. Ours and llama.cpp look
// the same from here, and each picks its tokens where its scores lie.
//
// Used by one thread.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/language_model.h"

namespace parley::bench {

class GreedyModel {
 public:
  // One slot's share of a step: its tokens are run after those it holds.
  struct Rows {
    int slot = 0;
    absl::Span<const engine::TokenId> tokens;  // at least one
    engine::TokenId next = -1;                 // out: the likeliest token after the last
  };
  virtual ~GreedyModel() = default;

  // Begins anew with `slots` empty slots, each of which takes `tokens`.
  virtual absl::Status Start(int slots, int tokens) = 0;
  // REQUIRES: different slots, below what Start was given.
  virtual absl::Status Step(absl::Span<Rows> rows) = 0;
};

// Any of our language models; `model` must outlive it.
std::unique_ptr<GreedyModel> MakeGreedy(engine::LanguageModel* model);

// The token that the model would write at each place of `text` after `prompt`, whatever it would have written
// before: teacher-forced.
absl::StatusOr<std::vector<engine::TokenId>> Predict(GreedyModel& model,
                                                     absl::Span<const engine::TokenId> prompt,
                                                     absl::Span<const engine::TokenId> text);

}  // namespace parley::bench

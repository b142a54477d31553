// Suite `prefill`: tokens a second of a prompt of 64, 182 and 512 tokens, up to the first token of the
// answer.
#include "bench/language_model.h"

namespace parley::bench {
namespace {

using engine::TokenId;

absl::StatusOr<double> TokensPerSecond(GreedyModel& model, int tokens) {
  std::vector<TokenId> prompt(tokens);
  for (int i = 0; i < tokens; ++i) prompt[i] = 1000 + i * 37 % 20000;
  if (absl::Status status = model.Start(1, tokens); !status.ok()) return status;
  GreedyModel::Rows rows = {0, prompt};
  const double start = Now();
  if (absl::Status status = model.Step(absl::MakeSpan(&rows, 1)); !status.ok()) return status;
  return tokens / (Now() - start);
}

absl::Status Prefill(const SuiteOptions& options) {
  const auto sides = LanguageModelSides::Load(options);
  if (!sides.ok()) return sides.status();
  if (absl::Status status = (*sides)->CheckTheySayTheSame(); !status.ok()) return status;
  for (const LanguageModelSides::Ours& ours : (*sides)->ours()) {
    for (int tokens : {64, 182, 512}) {
      const absl::StatusOr<Comparison> comparison = (*sides)->Compare(
          ours, [tokens](GreedyModel& model) { return TokensPerSecond(model, tokens); }, Better::kHigher);
      if (!comparison.ok()) return comparison.status();
      Print((*sides)->MakeFigure(
          ours, "prefill", std::to_string(tokens), *comparison,
          {.rows = tokens, .scored_rows = 1, .sequences = 1, .attended = (tokens + 1) / 2.0}));
    }
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "Prompts, against llama.cpp.", parley::bench::Prefill);
}

// Suite `decode`: tokens a second of 1, 4, 8 and 16 conversations that write 64 tokens after a prompt of 128.
#include "bench/language_model.h"

namespace parley::bench {
namespace {

using engine::TokenId;

constexpr int kPromptTokens = 128;
constexpr int kNewTokens = 64;

// Some text's worth of ids, another for each slot: the arithmetic does not care which.
std::vector<TokenId> Prompt(int slot) {
  std::vector<TokenId> ids(kPromptTokens);
  for (int i = 0; i < kPromptTokens; ++i) ids[i] = 1000 + (i * 37 + slot * 101) % 20000;
  return ids;
}

absl::StatusOr<double> TokensPerSecond(GreedyModel& model, int batch) {
  if (absl::Status status = model.Start(batch, kPromptTokens + kNewTokens); !status.ok()) return status;
  std::vector<TokenId> next(batch);
  for (int slot = 0; slot < batch; ++slot) {
    const std::vector<TokenId> prompt = Prompt(slot);
    GreedyModel::Rows rows = {slot, prompt};
    if (absl::Status status = model.Step(absl::MakeSpan(&rows, 1)); !status.ok()) return status;
    next[slot] = rows.next;
  }
  std::vector<GreedyModel::Rows> rows(batch);
  const double start = Now();
  for (int step = 0; step < kNewTokens; ++step) {
    for (int slot = 0; slot < batch; ++slot) rows[slot] = {slot, {&next[slot], 1}};
    if (absl::Status status = model.Step(absl::MakeSpan(rows)); !status.ok()) return status;
    for (int slot = 0; slot < batch; ++slot) next[slot] = rows[slot].next;
  }
  return batch * kNewTokens / (Now() - start);
}

absl::Status Decode(const SuiteOptions& options) {
  const auto sides = LanguageModelSides::Load(options);
  if (!sides.ok()) return sides.status();
  if (absl::Status status = (*sides)->CheckTheySayTheSame(); !status.ok()) return status;
  for (const LanguageModelSides::Ours& ours : (*sides)->ours()) {
    for (int batch : {1, 4, 8, 16}) {
      const absl::StatusOr<Comparison> comparison = (*sides)->Compare(
          ours, [batch](GreedyModel& model) { return TokensPerSecond(model, batch); }, Better::kHigher);
      if (!comparison.ok()) return comparison.status();
      Figure figure = (*sides)->MakeFigure(ours, "decode", "batch_" + std::to_string(batch), *comparison,
                                           {.rows = batch,
                                            .scored_rows = batch,
                                            .sequences = batch,
                                            .attended = kPromptTokens + kNewTokens / 2.0});
      figure.setting["prompt_tokens"] = kPromptTokens;
      figure.setting["new_tokens"] = kNewTokens;
      Print(figure);
    }
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "Conversations that write, against llama.cpp.",
                                  parley::bench::Decode);
}

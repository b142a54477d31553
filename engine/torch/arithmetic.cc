#include "engine/torch/arithmetic.h"

#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <exception>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "engine/torch/llama.h"

namespace parley::engine {
namespace {

// Layers are timed one after the other, enough of them that their fp32 weights do not stay in a processor's
// caches: a whole model's do not either.
constexpr int64_t kTimedBytes = 64 << 20;
constexpr int kRepeats = 4;

// A short answer after a short turn: so many decode steps of one row, so many prefill chunks of kChunkRows.
constexpr int kDecodeSteps = 30;
constexpr int kChunks = 2;
constexpr int kChunkRows = 32;

absl::Duration TimeRows(const std::vector<FeedForward>& layers, int rows, int hidden, const Clock& clock) {
  const at::Tensor x = at::ones({rows, hidden}, at::kFloat);
  absl::Duration best = absl::InfiniteDuration();
  for (int i = 0; i < kRepeats; ++i) {
    const absl::Time start = clock.Now();
    for (const FeedForward& layer : layers) layer.Forward(x);
    best = std::min(best, clock.Now() - start);
  }
  return best / static_cast<int64_t>(layers.size());
}

absl::Duration TimeAnswer(const bundle::LanguageModelFiles& files, Arithmetic arithmetic,
                          const Clock& clock) {
  const bundle::LanguageModelShape& shape = files.shape();
  const int64_t layer_bytes = int64_t{3} * shape.hidden * shape.ffn * static_cast<int64_t>(sizeof(float));
  const int count = static_cast<int>(std::clamp<int64_t>(kTimedBytes / layer_bytes + 1, 1, shape.layers));
  std::vector<FeedForward> layers;
  for (int layer = 0; layer < count; ++layer) layers.emplace_back(files, layer, arithmetic);
  return kDecodeSteps * TimeRows(layers, 1, shape.hidden, clock) +
         kChunks * TimeRows(layers, kChunkRows, shape.hidden, clock);
}

}  // namespace

absl::StatusOr<ArithmeticChoice> ChooseArithmetic(absl::string_view asked,
                                                  const bundle::LanguageModelFiles& files,
                                                  const Clock& clock) {
  if (const std::optional<Arithmetic> named = ArithmeticByName(asked)) {
    return ArithmeticChoice{*named, absl::StrCat(asked, " (as asked)")};
  }
  if (asked != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("arithmetic '", asked, "' is not auto, fp32, bf16 or int8"));
  }
  const c10::InferenceMode inference;
  try {
    Arithmetic fastest = Arithmetic::kFp32;
    absl::Duration best = absl::InfiniteDuration();
    std::vector<std::string> figures;
    for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kBf16, Arithmetic::kInt8}) {
      const absl::Duration time = TimeAnswer(files, arithmetic, clock);
      figures.push_back(
          absl::StrFormat("%s %.1f", ArithmeticName(arithmetic), absl::ToDoubleMilliseconds(time)));
      if (time < best) {
        best = time;
        fastest = arithmetic;
      }
    }
    return ArithmeticChoice{
        fastest, absl::StrCat(ArithmeticName(fastest),
                              " (fastest here, ms of a layer's answer: ", absl::StrJoin(figures, ", "), ")")};
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(files.path(), ": ", error.what()));
  }
}

}  // namespace parley::engine

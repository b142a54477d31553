// Which arithmetic the language model's linear layers run in.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "engine/bundle/language_model_files.h"
#include "engine/torch/linear.h"

namespace parley::engine {

struct ArithmeticChoice {
  Arithmetic arithmetic = Arithmetic::kFp32;
  std::string description;  // for EngineInfo: "int8 (fastest here: ...)" or "fp32 (as asked)"
};

// `asked`: a name, or "auto": feed-forward layers of this model are timed in each arithmetic, a short
// answer's worth of rows, and the fastest wins. Takes about a second. INVALID_ARGUMENT for another name.
absl::StatusOr<ArithmeticChoice> ChooseArithmetic(absl::string_view asked,
                                                  const bundle::LanguageModelFiles& files,
                                                  const Clock& clock);

}  // namespace parley::engine

// What every language model checks of a step before it changes anything.
#pragma once

#include "absl/status/status.h"
#include "engine/model/language_model.h"

namespace parley::engine {

// INVALID_ARGUMENT naming what is wrong. `context`: the positions that the model has.
absl::Status CheckEntry(const StepEntry& entry, const LanguageModel& model, int context);

}  // namespace parley::engine

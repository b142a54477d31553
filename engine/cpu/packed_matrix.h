// A weight matrix of a checkpoint as the quantised kernels take it.
#pragma once

#include "absl/status/statusor.h"
#include "engine/bundle/language_model_files.h"
#include "engine/kernels/quantized_weights.h"

namespace parley::engine::cpu {

// Q4_0, Q4_1 and Q8_0 keep the file's precision; every other type is quantised to 8 bits in groups of 32.
// Rows come in the model's order. Errors name the file and the weight.
absl::StatusOr<kernels::QuantizedWeights> PackMatrix(const bundle::LanguageModelFiles& files,
                                                     bundle::Weight weight, int layer = 0);

}  // namespace parley::engine::cpu

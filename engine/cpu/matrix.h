// A weight matrix in the form in which an arithmetic multiplies it.
#pragma once

#include <variant>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/bundle/language_model_files.h"
#include "engine/cpu/activations.h"
#include "engine/cpu/padded_width.h"
#include "engine/kernels/cpu_features.h"
#include "engine/kernels/float_linear.h"
#include "engine/kernels/quantized_weights.h"
#include "engine/model/arithmetic.h"

namespace parley::engine::cpu {

class Matrix {
 public:
  Matrix() = default;
  explicit Matrix(kernels::QuantizedWeights weights) : weights_(std::move(weights)) {}
  // w: [outputs, inputs]; the integers take it in 8 bits.
  static absl::StatusOr<Matrix> FromFloats(absl::Span<const float> w, int outputs, int inputs,
                                           Arithmetic arithmetic);

  int outputs() const;
  int tiles() const;  // of 16 outputs
  // The outputs of tiles [tile_begin, tile_end) for rows [first, first + count): y[row * outputs() + output].
  // `first`: a multiple of kernels::kRowsTogether. REQUIRES: x of the same arithmetic, of inputs() values.
  void Multiply(const Activations& x, int first, int count, int tile_begin, int tile_end, float* y,
                kernels::Isa isa) const;

 private:
  explicit Matrix(kernels::FloatLinear weights) : weights_(std::move(weights)) {}
  std::variant<kernels::QuantizedWeights, kernels::FloatLinear> weights_;
};

// Of a checkpoint: [outputs.padded(), inputs.padded()]. With integers Q4_0, Q4_1 and Q8_0 keep the file's
// precision where nothing is padded; every other type, and what is padded, is quantised to 8 bits in groups
// of
// 32. Rows come in the model's order. Errors name the file and the weight.
absl::StatusOr<Matrix> ReadMatrix(const bundle::LanguageModelFiles& files, bundle::Weight weight, int layer,
                                  const PaddedWidth& outputs, const PaddedWidth& inputs,
                                  Arithmetic arithmetic);

}  // namespace parley::engine::cpu

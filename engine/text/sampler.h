// Chooses the next token of an answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/api/generation.h"
#include "engine/text/token.h"

namespace parley::engine::text {

// One answer's. The same scores, configuration and seed give the same tokens on every machine: the random
// numbers are a hash of the seed and the token's place, and exponentials are computed with plain arithmetic.
//
// In order: repetition penalty (over the answer's tokens; a positive score is divided, a negative one
// multiplied), temperature, top_k, top_p, draw. Temperature 0 takes the highest score, of equals the lowest
// id.
class Sampler {
 public:
  // `vocabulary`: scores past so many are not looked at, as a head's padding has them.
  explicit Sampler(const GenerationConfig& config, int vocabulary = std::numeric_limits<int>::max())
      : config_(config), vocabulary_(static_cast<size_t>(vocabulary)) {}

  // `logits`: of each token, changed in place. `answer`: the answer's tokens so far. Scores that are not
  // numbers are never chosen; INTERNAL when no score is a number.
  absl::StatusOr<TokenId> Sample(absl::Span<float> logits, absl::Span<const TokenId> answer);

 private:
  const GenerationConfig config_;
  const size_t vocabulary_;
  std::vector<std::pair<float, TokenId>> candidates_;  // kept for its memory
  std::vector<double> weights_;
};

}  // namespace parley::engine::text

// The first of the largest scores: what greedy decoding asks of a whole vocabulary for every token.
#pragma once

#include <cstddef>

#include "absl/types/span.h"

namespace parley::engine::text {

// REQUIRES: there are scores. With NaN among them it is one of them.
size_t IndexOfLargest(absl::Span<const float> scores);

}  // namespace parley::engine::text

// The bridge `labels`: what a classifier recognises enters the prompt as words.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace parley::engine {

struct LabelProbability {
  std::string label;
  float probability = 0;
};

// vision_bridge of parley.json.
struct LabelsBridgeConfig {
  int labels = 1;          // at most this many are named
  float minimum = 0.1f;    // what is less probable is not named
  std::string template_;   // "{labels}" becomes the labels, with their articles
  std::string otherwise;   // when none is probable enough
};

// Immutable; thread-safe.
class LabelsBridge {
 public:
  // INVALID_ARGUMENT: a template without {labels}, labels < 1, minimum outside 0 to 1.
  static absl::StatusOr<LabelsBridge> Create(LabelsBridgeConfig config);
  // `labels`: most probable first. "The image shows an Egyptian cat."
  std::string Describe(absl::Span<const LabelProbability> labels) const;

 private:
  explicit LabelsBridge(LabelsBridgeConfig config) : config_(std::move(config)) {}
  LabelsBridgeConfig config_;
};

}  // namespace parley::engine

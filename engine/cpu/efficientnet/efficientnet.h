// EfficientNet-Lite0 (Tan and Le, 2019, arXiv:1905.11946; Lite: without squeeze-and-excitation, ReLU6): what
// a picture shows, as one of ImageNet's 1,000 labels.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/api/media.h"
#include "engine/bundle/safetensors.h"
#include "engine/cpu/efficientnet/labels_bridge.h"

namespace parley::engine::cpu {

// Used by the model thread only.
class EfficientNet {
 public:
  // Reads the weights, which may go afterwards; batch norms are folded into the convolutions. `labels_json`:
  // an array of as many strings as there are classes. INVALID_ARGUMENT, NOT_FOUND: what is missing or wrong.
  // `threads`: of its own, the caller's included.
  static absl::StatusOr<std::unique_ptr<EfficientNet>> Load(const bundle::Safetensors& weights,
                                                            absl::string_view labels_json, int threads);
  ~EfficientNet();
  EfficientNet(const EfficientNet&) = delete;
  EfficientNet& operator=(const EfficientNet&) = delete;

  // Each picture's labels, most probable first, at most `count` of them, whatever the others show.
  absl::StatusOr<std::vector<std::vector<LabelProbability>>> Labels(absl::Span<const ImagePtr> images,
                                                                    int count = 5) const;
  // pixels: [kEfficientNetSize, kEfficientNetSize, 3], normalised; the result is [classes], unnormalised.
  std::vector<float> Logits(absl::Span<const float> pixels) const;

 private:
  struct Network;
  EfficientNet(std::unique_ptr<Network> network, std::vector<std::string> labels);
  std::unique_ptr<Network> network_;
  std::vector<std::string> labels_;
};

}  // namespace parley::engine::cpu

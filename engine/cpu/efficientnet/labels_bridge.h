// The bridge `labels`: what a classifier recognises enters the prompt as words.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/bundle/manifest.h"

namespace parley::engine::cpu {

struct LabelProbability {
  std::string label;
  float probability = 0;
};

// The words for a picture whose labels are `labels`, most probable first: as many of them as the bridge
// allows, each with its article, in the place of {labels}: "The picture shows an Egyptian cat."
std::string DescribeLabels(const bundle::BundleManifest::VisionBridge& bridge,
                           absl::Span<const LabelProbability> labels);

}  // namespace parley::engine::cpu

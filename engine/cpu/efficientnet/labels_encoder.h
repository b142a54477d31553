// Pictures into words: a classifier, and the bridge `labels` that writes what it recognised.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/bundle/manifest.h"
#include "engine/cpu/efficientnet/efficientnet.h"
#include "engine/model/encoder.h"

namespace parley::engine::cpu {

class LabelsEncoder final : public FrameEncoder {
 public:
  LabelsEncoder(std::unique_ptr<const EfficientNet> classifier, bundle::BundleManifest::VisionBridge bridge)
      : classifier_(std::move(classifier)), bridge_(std::move(bridge)) {}

  std::string name() const override { return "EfficientNet-Lite0"; }
  absl::StatusOr<std::unique_ptr<Encoding>> Start(ImagePtr image) override;
  // One pass does it all. Where a pass of several fails, each is tried alone.
  std::vector<absl::StatusOr<bool>> Advance(absl::Span<Encoding* const> encodings) override;

 private:
  const std::unique_ptr<const EfficientNet> classifier_;
  const bundle::BundleManifest::VisionBridge bridge_;
};

}  // namespace parley::engine::cpu

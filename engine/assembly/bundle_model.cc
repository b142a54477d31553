#include "engine/assembly/bundle_model.h"

#include <utility>

#include "engine/cpu/efficientnet/labels_bridge.h"

namespace parley::engine::assembly {

absl::StatusOr<std::unique_ptr<Sequence>> BundleModel::NewSequence() {
  return parts_.language_model->NewSequence();
}

absl::StatusOr<std::vector<std::string>> BundleModel::DescribeImages(absl::Span<const ImagePtr> images) {
  if (!sees()) return absl::FailedPreconditionError("this bundle has no vision encoder");
  const absl::StatusOr<std::vector<std::vector<cpu::LabelProbability>>> labels =
      parts_.vision_encoder->Labels(images, parts_.vision_bridge.labels);
  if (!labels.ok()) return labels.status();
  std::vector<std::string> descriptions;
  descriptions.reserve(labels->size());
  for (const std::vector<cpu::LabelProbability>& image : *labels) {
    descriptions.push_back(cpu::DescribeLabels(parts_.vision_bridge, image));
  }
  return descriptions;
}

absl::StatusOr<std::unique_ptr<Transcription>> BundleModel::StartTranscription(
    std::vector<float> samples, std::shared_ptr<const TranscriptDraft> draft) {
  if (!hears()) return absl::FailedPreconditionError("this bundle has no speech encoder");
  return parts_.speech_encoder->StartTranscription(std::move(samples), std::move(draft));
}

}  // namespace parley::engine::assembly

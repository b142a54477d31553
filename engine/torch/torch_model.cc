#include "engine/torch/torch_model.h"

#include <utility>

#include "engine/cpu/efficientnet/labels_bridge.h"

namespace parley::engine {

absl::StatusOr<std::unique_ptr<Sequence>> TorchModel::NewSequence() {
  return parts_.language_model->NewSequence();
}

absl::StatusOr<std::vector<std::string>> TorchModel::DescribeImages(absl::Span<const ImagePtr> images) {
  if (!sees()) return absl::FailedPreconditionError("this bundle has no vision tower");
  const absl::StatusOr<std::vector<std::vector<cpu::LabelProbability>>> labels =
      parts_.vision_tower->Labels(images, parts_.vision_bridge.labels);
  if (!labels.ok()) return labels.status();
  std::vector<std::string> descriptions;
  descriptions.reserve(labels->size());
  for (const std::vector<cpu::LabelProbability>& image : *labels) {
    descriptions.push_back(cpu::DescribeLabels(parts_.vision_bridge, image));
  }
  return descriptions;
}

absl::StatusOr<std::unique_ptr<Transcription>> TorchModel::StartTranscription(
    std::vector<float> samples, std::shared_ptr<const TranscriptDraft> draft) {
  if (!hears()) return absl::FailedPreconditionError("this bundle has no audio tower");
  return parts_.audio_tower->StartTranscription(std::move(samples), std::move(draft));
}

}  // namespace parley::engine

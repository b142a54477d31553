#include "engine/cpu/efficientnet/labels_encoder.h"

#include <utility>

#include "engine/cpu/efficientnet/labels_bridge.h"

namespace parley::engine::cpu {
namespace {

struct Picture final : Encoding {
  explicit Picture(ImagePtr shown) : image(std::move(shown)) {}
  bool batchable() const override { return true; }
  Encoded Take() override { return {.part = std::move(words)}; }

  const ImagePtr image;
  std::string words;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Encoding>> LabelsEncoder::Start(ImagePtr image) {
  return std::make_unique<Picture>(std::move(image));
}

std::vector<absl::StatusOr<bool>> LabelsEncoder::Advance(absl::Span<Encoding* const> encodings) {
  std::vector<ImagePtr> images;
  for (Encoding* each : encodings) images.push_back(static_cast<Picture*>(each)->image);
  const auto labels = classifier_->Labels(images, bridge_.labels);
  std::vector<absl::StatusOr<bool>> done;
  if (!labels.ok() && encodings.size() > 1) {
    for (size_t i = 0; i < encodings.size(); ++i) done.push_back(Advance(encodings.subspan(i, 1)).front());
    return done;
  }
  for (size_t i = 0; i < encodings.size(); ++i) {
    if (!labels.ok()) return {labels.status()};
    static_cast<Picture*>(encodings[i])->words = DescribeLabels(bridge_, (*labels)[i]);
    done.push_back(true);
  }
  return done;
}

}  // namespace parley::engine::cpu

// Pictures as EfficientNet takes them (torchvision: Resize(224), CenterCrop(224), Normalize): the shorter
// side becomes 224 pixels by antialiased bilinear filtering, the middle is cut out, channels are normalised
// with ImageNet's mean and deviation. Plain loops, no Torch.
#pragma once

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/api/media.h"
#include "engine/kernels/thread_team.h"

namespace parley::engine::cpu {

inline constexpr int kEfficientNetSize = 224;

// Writes [kEfficientNetSize, kEfficientNetSize, 3]; `out` has exactly that size. The rows are shared out
// among the team. INVALID_ARGUMENT for an image without pixels or whose pixels do not fit its size.
absl::Status PreprocessForEfficientNet(const Image& image, kernels::ThreadTeam& team, absl::Span<float> out);

}  // namespace parley::engine::cpu

#include "streaming/video/frame_sampler.h"

#include <algorithm>

namespace parley::streaming {

absl::Duration FrameSampler::Interval() const {
  // The server checks the range; a floor keeps a zero from stopping the camera for ever.
  return absl::Seconds(1) / std::max<double>(suggested_fps(), 1e-3);
}

bool FrameSampler::Due(absl::Time now) const {
  return !base_.has_value() || now >= *base_ + Interval() * 0.75;
}

void FrameSampler::Looked(absl::Time now) {
  // An early frame does not pull the next one forward: the rate holds in the long run.
  base_ = base_.has_value() ? std::max(now, *base_ + Interval()) : now;
}

}  // namespace parley::streaming

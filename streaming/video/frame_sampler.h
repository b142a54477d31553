// Which frames of a camera are looked at: more while the user speaks, fewer while silent. Pure logic on a
// time that the caller gives.
//
// A leaky bucket without a burst: at most `fps` frames a second in the long run, and a camera that sends at
// just that rate with a quarter of an interval of jitter loses none. Not thread-safe: used by one strand.
#pragma once

#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "proto/constants/call_config.h"

namespace parley::streaming {

struct VideoPolicy {
  float speaking_fps = contract::VideoPolicy::kSpeakingFpsDefault;
  float silent_fps = contract::VideoPolicy::kSilentFpsDefault;
  float scene_threshold = contract::VideoPolicy::kSceneThresholdDefault;
};

class FrameSampler {
 public:
  explicit FrameSampler(const VideoPolicy& policy) : policy_(policy) {}

  void SetPolicy(const VideoPolicy& policy) { policy_ = policy; }
  void SetSpeaking(bool speaking) { speaking_ = speaking; }

  // Whether a frame at `now` is to be looked at. `now`: arrival on the server's clock (a client's own clock
  // does not pace the server's work). A time before the latest one counts as the latest.
  bool Due(absl::Time now) const;
  // A frame that was due was looked at: decoded and compared, whatever came of it. A frame that turned out to
  // be undecodable is not reported here, so that the next one takes its place.
  void Looked(absl::Time now);

  // Frames a second that would all be looked at now.
  float suggested_fps() const { return speaking_ ? policy_.speaking_fps : policy_.silent_fps; }

 private:
  absl::Duration Interval() const;

  VideoPolicy policy_;
  bool speaking_ = false;
  std::optional<absl::Time> base_;  // when the last look was due, or happened if that was later
};

// A queue of one, latest wins: what is put in replaces what still waits, and whoever puts it in is handed the
// frame that lost its place, to report it. Not thread-safe.
template <typename Frame>
class LatestFrame {
 public:
  [[nodiscard]] std::optional<Frame> Put(Frame frame) { return std::exchange(frame_, std::move(frame)); }
  [[nodiscard]] std::optional<Frame> Take() { return std::exchange(frame_, std::nullopt); }
  bool empty() const { return !frame_.has_value(); }

 private:
  std::optional<Frame> frame_;
};

}  // namespace parley::streaming

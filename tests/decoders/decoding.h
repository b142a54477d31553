// What the tests of picture decoders share.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "streaming/decoders/picture_decoders.h"

namespace parley::streaming {

inline constexpr int64_t kMaxPixels = 4096 * 4096;

// What became of one frame, whenever that is.
class Outcome {
 public:
  PictureDecoder::Done Done() {
    return [state = state_](absl::StatusOr<engine::ImagePtr> image) {
      state->image = std::move(image);
      state->told.Notify();
    };
  }
  // Waits for it.
  const absl::StatusOr<engine::ImagePtr>& Get() const {
    state_->told.WaitForNotification();
    return state_->image;
  }
  bool told() const { return state_->told.HasBeenNotified(); }

 private:
  struct State {
    absl::Notification told;
    absl::StatusOr<engine::ImagePtr> image = absl::UnknownError("not told");
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

inline Outcome Ask(PictureDecoder& decoder, std::string data, bool want = true) {
  Outcome outcome;
  decoder.Decode({.data = std::move(data), .want = want}, outcome.Done());
  return outcome;
}
inline absl::StatusOr<engine::ImagePtr> Decode(PictureDecoder& decoder, std::string data, bool want = true) {
  const Outcome outcome = Ask(decoder, std::move(data), want);
  const absl::StatusOr<engine::ImagePtr>& image = outcome.Get();
  // An error's text of its own: threads that share one end it by a count that ThreadSanitizer does not see.
  if (!image.ok()) return absl::Status(image.status().code(), image.status().message());
  return *image;
}

inline std::unique_ptr<PictureDecoder> Open(PictureDecoders& decoders, VideoCodec codec = VideoCodec::kJpeg,
                                            int64_t max_pixels = kMaxPixels) {
  auto decoder = decoders.Open(codec, max_pixels);
  EXPECT_TRUE(decoder.ok()) << decoder.status();
  return *std::move(decoder);
}

}  // namespace parley::streaming

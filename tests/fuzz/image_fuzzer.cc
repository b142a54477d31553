// Stills: the first byte picks codec and rotation, the rest is the picture.
#include <cstdlib>

#include "streaming/video/scene_detector.h"
#include "streaming/video/video_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using parley::streaming::VideoCodec;
  using parley::streaming::VideoInput;
  if (size == 0) return 0;
  constexpr VideoCodec kCodecs[] = {VideoCodec::kJpeg, VideoCodec::kPng, VideoCodec::kWebp};
  constexpr int64_t kMaxPixels = 1 << 20;
  auto input = VideoInput::Create(kCodecs[data[0] % 3], kMaxPixels);
  if (!input.ok()) std::abort();
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto picture = (*input)->Decode(bytes, data[0] / 3 % 4 * 90, /*want=*/true);
  if (!picture.ok()) return 0;
  const parley::engine::Image& image = **picture;
  if (image.width < 1 || image.height < 1 || int64_t{image.width} * image.height > kMaxPixels ||
      image.pixels.size() != size_t{3} * image.width * image.height) {
    std::abort();
  }
  parley::streaming::SceneDetector scene;
  if (!scene.Changed(image, 0.02f) || scene.Changed(image, 0.02f)) std::abort();
  return 0;
}

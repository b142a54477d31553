// Video streams: the first byte picks H.264, VP8 or VP9; frames follow, each with two bytes of length and one
// of options. Now and then a frame is lost, and the decoder gets the parameter sets that were kept.
#include <algorithm>
#include <cstdlib>

#include "streaming/video/h264_parameter_sets.h"
#include "streaming/video/video_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using parley::streaming::VideoCodec;
  using parley::streaming::VideoInput;
  if (size == 0) return 0;
  constexpr VideoCodec kCodecs[] = {VideoCodec::kH264, VideoCodec::kVp8, VideoCodec::kVp9};
  constexpr int64_t kMaxPixels = 1 << 18;
  auto input = VideoInput::Create(kCodecs[data[0] % 3], kMaxPixels);
  if (!input.ok()) std::abort();
  parley::streaming::KeptParameterSets kept(kMaxPixels);
  size_t at = 1;
  for (int frames = 0; frames < 16 && at + 3 <= size; ++frames) {
    const size_t length = std::min<size_t>(data[at] | data[at + 1] << 8, size - at - 3);
    const uint8_t options = data[at + 2];
    const std::string_view bytes(reinterpret_cast<const char*>(data) + at + 3, length);
    if ((options & 8) != 0) {
      if (kept.message() != nullptr &&
          kept.message()->size() > parley::streaming::H264ParameterSets::kMaxBytes)
        std::abort();
      (*input)->OnLoss(kept.message() == nullptr ? std::string_view() : *kept.message());
    }
    kept.Take(bytes);
    const auto picture = (*input)->Decode(bytes, (options & 3) * 90, (options & 4) == 0);
    if (picture.ok() && *picture != nullptr) {
      const parley::engine::Image& image = **picture;
      if (int64_t{image.width} * image.height > kMaxPixels ||
          image.pixels.size() != size_t{3} * image.width * image.height) {
        std::abort();
      }
    }
    at += 3 + length;
  }
  return 0;
}

// VP8 and VP9 frames that are not all there. The last part of one has no length of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "streaming/video/video_input.h"
#include "tests/video/media_encoder.h"

namespace parley::streaming {
namespace {

using tests::DecodeWithFfmpeg;
using tests::EncodeStream;
using tests::StreamOptions;

constexpr int64_t kMaxPixels = 4096 * 4096;

std::unique_ptr<VideoInput> MakeInput(VideoCodec codec) {
  auto input = VideoInput::Create(codec, kMaxPixels);
  EXPECT_TRUE(input.ok()) << input.status();
  return *std::move(input);
}

struct Film {
  VideoCodec codec = VideoCodec::kVp8;
  StreamOptions options;

  std::vector<std::string> Encode() const { return EncodeStream(codec, options); }
  std::string Name() const {
    return std::string(codec == VideoCodec::kVp8 ? "VP8 " : "VP9 ") + options.vpx + ' ' +
           std::to_string(options.width) + (options.noisy ? " noisy" : "");
  }
};

// All that a libvpx in a browser or a camera may do: partitions, frames that do not depend on each other's
// probabilities, hidden ones, layers, simple filters, sizes that are no whole blocks, the finest and the
// coarsest quantisers.
const StreamOptions kVp8[] = {
    {.key_interval = 100},
    {.key_interval = 100, .noisy = true},
    {.key_interval = 100, .vpx = "slices=2", .noisy = true},
    {.key_interval = 100, .vpx = "slices=4", .noisy = true},
    {.key_interval = 100, .vpx = "slices=8", .noisy = true},
    {.width = 64, .height = 40, .key_interval = 100, .vpx = "slices=8"},
    {.key_interval = 100, .vpx = "error-resilient=default", .noisy = true},
    {.key_interval = 100, .vpx = "error-resilient=default+partitions slices=4", .noisy = true},
    {.key_interval = 100, .vpx = "deadline=good cpu-used=0 auto-alt-ref=1 lag-in-frames=16", .noisy = true},
    {.key_interval = 100, .vpx = "static-thresh=1000 noise-sensitivity=4", .noisy = true},
    {.key_interval = 100, .vpx = "profile=1", .noisy = true},
    {.key_interval = 100, .vpx = "profile=2", .noisy = true},
    {.key_interval = 100, .vpx = "profile=3", .noisy = true},
    {.key_interval = 100, .vpx = "qmin=0 qmax=4 b=20000000", .noisy = true},
    {.key_interval = 100, .vpx = "qmin=60 qmax=63 b=20000", .noisy = true},
    {.frames = 16,
     .key_interval = 100,
     .vpx = "error-resilient=default ts-parameters=ts_number_layers=3:ts_target_bitrate=100,200,400:"
            "ts_rate_decimator=4,2,1:ts_periodicity=4:ts_layer_id=0,2,1,2:ts_layering_mode=3",
     .noisy = true},
    {.width = 1, .height = 1, .key_interval = 100, .noisy = true},
    {.width = 17, .height = 33, .key_interval = 100, .noisy = true},
    {.width = 175, .height = 143, .key_interval = 100, .vpx = "slices=4", .noisy = true},
};

const StreamOptions kVp9[] = {
    {.key_interval = 100},
    {.key_interval = 100, .noisy = true},
    {.width = 64, .height = 64, .key_interval = 100, .noisy = true},
    {.width = 1024, .height = 256, .frames = 7, .key_interval = 100, .vpx = "tile-columns=2", .noisy = true},
    {.key_interval = 100, .vpx = "tile-rows=2", .noisy = true},
    {.key_interval = 100, .vpx = "error-resilient=default frame-parallel=1", .noisy = true},
    {.key_interval = 100, .vpx = "tune-content=screen"},
    {.key_interval = 100, .vpx = "aq-mode=3", .noisy = true},
    {.key_interval = 100, .vpx = "lossless=1", .noisy = true},
    {.key_interval = 100, .vpx = "qmin=60 qmax=63 b=20000", .noisy = true},
    {.key_interval = 100, .deep_444 = true, .noisy = true},
    {.width = 1, .height = 1, .key_interval = 100, .noisy = true},
    {.width = 17, .height = 33, .key_interval = 100, .noisy = true},
    {.width = 175, .height = 143, .key_interval = 100, .noisy = true},
};

std::vector<Film> Films() {
  std::vector<Film> films;
  for (const StreamOptions& options : kVp8) films.push_back({VideoCodec::kVp8, options});
  for (const StreamOptions& options : kVp9) films.push_back({VideoCodec::kVp9, options});
  return films;
}

// Bytes of 32 bits that libvpx's encoders write past the last that matters, and what keeps VP9's from looking
// like an index (vp8_stop_encode, vpx_stop_encode).
constexpr size_t kFlushed = 5;

// A VP8 stream with every third frame hidden: later ones refer to it, but it is not shown.
std::vector<std::string> HideSome(const Film& film) {
  std::vector<std::string> frames = film.Encode();
  if (film.codec != VideoCodec::kVp8) return frames;
  constexpr char kShown = 0x10;  // section 9.1
  for (size_t i = 1; i < frames.size(); i += 3) frames[i][0] = static_cast<char>(frames[i][0] & ~kShown);
  return frames;
}

TEST(VpxStreamTest, EveryFrameThatIsWholeIsTakenAsLibavcodecTakesIt) {
  for (const Film& film : Films()) {
    for (const bool hide : {false, true}) {
      if (hide && film.codec != VideoCodec::kVp8) continue;
      SCOPED_TRACE(film.Name() + (hide ? " hidden" : ""));
      const auto frames = hide ? HideSome(film) : film.Encode();
      const auto expected = DecodeWithFfmpeg(film.codec, frames);
      auto input = MakeInput(film.codec);
      size_t shown = 0;
      for (size_t i = 0; i < frames.size(); ++i) {
        const auto picture = input->Decode(frames[i], 0, true);
        ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
        ASSERT_EQ(*picture == nullptr, hide && i % 3 == 1) << i;
        if (*picture == nullptr) continue;
        ASSERT_LT(shown, expected.size());
        EXPECT_TRUE((*picture)->pixels == expected[shown++].pixels) << i;
      }
      EXPECT_EQ(shown, expected.size());
    }
  }
}

TEST(VpxStreamTest, OfAVp9SuperframeTheLastFrameIsSeen) {
  const auto frames = EncodeStream(VideoCodec::kVp9, {.key_interval = 100, .noisy = true});
  const auto expected = DecodeWithFfmpeg(VideoCodec::kVp9, frames);
  ASSERT_EQ(expected.size(), frames.size());
  auto input = MakeInput(VideoCodec::kVp9);
  for (size_t i = 0; i + 1 < frames.size(); i += 2) {
    const auto sizes = {frames[i].size(), frames[i + 1].size()};
    std::string message = frames[i] + frames[i + 1];
    constexpr char kTwoFramesOfThreeBytes = '\xd1';
    message += kTwoFramesOfThreeBytes;
    for (const size_t size : sizes) {
      for (int byte = 0; byte < 3; ++byte) message += static_cast<char>(size >> 8 * byte);
    }
    message += kTwoFramesOfThreeBytes;
    const auto picture = input->Decode(message, 0, true);
    ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
    EXPECT_TRUE((*picture)->pixels == expected[i + 1].pixels) << i;
  }
}

TEST(VpxStreamTest, AFrameCutAnywhereIsDamagedAndTheStreamWaitsForAKeyFrame) {
  for (Film film : Films()) {
    film.options.frames = 6;
    const auto frames = HideSome(film);
    for (const size_t i : {0, 1, 2}) {  // the second one of VP8 is hidden
      for (const int percent : {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95}) {
        SCOPED_TRACE(film.Name() + " frame " + std::to_string(i) + " cut at " + std::to_string(percent) +
                     " %");
        auto input = MakeInput(film.codec);
        for (size_t before = 0; before < i; ++before) {
          EXPECT_TRUE(input->Decode(frames[before], 0, /*want=*/false).ok());
        }
        const std::string& frame = frames[i];
        const size_t keep =
            std::min(frame.size() * percent / 100, frame.size() - std::min(frame.size(), kFlushed + 1));
        const auto cut = input->Decode(frame.substr(0, keep), 0, true);
        EXPECT_EQ(cut.status().code(), absl::StatusCode::kInvalidArgument) << cut.status();
        EXPECT_EQ(input->Decode(frames[i + 1], 0, true).status().code(), absl::StatusCode::kUnavailable);
      }
    }
  }
}

TEST(VpxStreamTest, OfAFrameOnlyWhatTheEncoderFlushesAtItsEndMayBeMissing) {
  for (const VideoCodec codec : {VideoCodec::kVp8, VideoCodec::kVp9}) {
    const auto frames = EncodeStream(codec, {.frames = 2, .noisy = true});
    for (size_t i = 0; i < 2; ++i) {
      for (size_t missing = 0; missing < 100; ++missing) {
        SCOPED_TRACE(std::to_string(missing) + " bytes of frame " + std::to_string(i));
        auto input = MakeInput(codec);
        if (i == 1) {
          EXPECT_TRUE(input->Decode(frames[0], 0, true).ok());
        }
        const auto picture = input->Decode(frames[i].substr(0, frames[i].size() - missing), 0, true);
        if (missing == 0) {
          EXPECT_TRUE(picture.ok()) << picture.status();
        } else if (missing > kFlushed) {
          EXPECT_FALSE(picture.ok());
        }
      }
    }
  }
}

TEST(VpxStreamTest, TheNextKeyFrameMendsACutOne) {
  for (const VideoCodec codec : {VideoCodec::kVp8, VideoCodec::kVp9}) {
    const auto frames = EncodeStream(codec, {.frames = 8, .key_interval = 4, .noisy = true});
    const auto expected = DecodeWithFfmpeg(codec, frames);
    for (const size_t cut : {0, 2}) {
      auto input = MakeInput(codec);
      for (size_t i = 0; i < cut; ++i) EXPECT_TRUE(input->Decode(frames[i], 0, true).ok());
      EXPECT_FALSE(input->Decode(frames[cut].substr(0, frames[cut].size() / 2), 0, true).ok());
      for (size_t i = 4; i < 8; ++i) {
        const auto picture = input->Decode(frames[i], 0, true);
        ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
        EXPECT_TRUE((*picture)->pixels == expected[i].pixels) << i;
      }
    }
  }
}

}  // namespace
}  // namespace parley::streaming

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "streaming/video/video_input.h"
#include "tests/video/media_encoder.h"

namespace parley::streaming {
namespace {

using tests::Difference;
using tests::EncodeStream;
using tests::StreamOptions;
using tests::TestPicture;

constexpr int64_t kMaxPixels = 4096 * 4096;
constexpr double kTolerance =
    12;  // of real-time encoders on hard edges; another frame of the film is further off

std::unique_ptr<VideoInput> MakeInput(VideoCodec codec, int64_t max_pixels = kMaxPixels) {
  auto input = VideoInput::Create(codec, max_pixels);
  EXPECT_TRUE(input.ok()) << input.status();
  return *std::move(input);
}

absl::StatusCode CodeOf(const absl::StatusOr<engine::ImagePtr>& picture) { return picture.status().code(); }

class EveryStream : public ::testing::TestWithParam<VideoCodec> {};
INSTANTIATE_TEST_SUITE_P(Codecs, EveryStream,
                         ::testing::Values(VideoCodec::kH264, VideoCodec::kVp8, VideoCodec::kVp9));

TEST_P(EveryStream, EachFrameShowsItsPictureAtOnce) {
  const auto frames = EncodeStream(GetParam(), {.frames = 12});
  ASSERT_EQ(frames.size(), 12u);
  auto input = MakeInput(GetParam());
  EXPECT_FALSE(input->independent_frames());
  for (size_t i = 0; i < frames.size(); ++i) {
    const auto picture = input->Decode(frames[i], 0, true);
    ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
    ASSERT_NE(*picture, nullptr) << i;
    EXPECT_LE(Difference(**picture, TestPicture(320, 240, static_cast<int>(i))), kTolerance) << i;
  }
}

TEST_P(EveryStream, FramesThatAreNotWantedStillCarryTheNextOnes) {
  const auto frames = EncodeStream(GetParam(), {.frames = 10, .key_interval = 100});
  auto input = MakeInput(GetParam());
  for (size_t i = 0; i < frames.size(); ++i) {
    const bool want = i == 9;
    const auto picture = input->Decode(frames[i], 90, want);
    ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
    if (!want) {
      EXPECT_EQ(*picture, nullptr);
      continue;
    }
    ASSERT_NE(*picture, nullptr);
    EXPECT_EQ((*picture)->width, 240);
    EXPECT_EQ((*picture)->height, 320);
  }
}

TEST_P(EveryStream, TheSizeMayChangeAtAKeyFrame) {
  auto input = MakeInput(GetParam());
  for (const auto& [width, height] : {std::pair{320, 240}, {640, 360}, {160, 120}, {322, 242}}) {
    for (const std::string& frame :
         EncodeStream(GetParam(), {.width = width, .height = height, .frames = 3})) {
      const auto picture = input->Decode(frame, 0, true);
      ASSERT_TRUE(picture.ok()) << picture.status();
      ASSERT_NE(*picture, nullptr);
      EXPECT_EQ((*picture)->width, width);
      EXPECT_EQ((*picture)->height, height);
    }
  }
}

TEST_P(EveryStream, AStreamJoinedInTheMiddleWaitsForItsKeyFrame) {
  const auto frames = EncodeStream(GetParam(), {.frames = 9, .key_interval = 6});
  auto input = MakeInput(GetParam());
  for (size_t i = 3; i < 6; ++i)
    EXPECT_EQ(CodeOf(input->Decode(frames[i], 0, true)), absl::StatusCode::kUnavailable);
  for (size_t i = 6; i < 9; ++i) EXPECT_TRUE(input->Decode(frames[i], 0, true).ok()) << i;
}

TEST_P(EveryStream, ADamagedFrameIsAnErrorAndTheNextKeyFrameMendsIt) {
  const auto frames = EncodeStream(GetParam(), {.frames = 9, .key_interval = 6});
  auto input = MakeInput(GetParam());
  EXPECT_TRUE(input->Decode(frames[0], 0, true).ok());
  EXPECT_TRUE(input->Decode(frames[1], 0, true).ok());
  EXPECT_EQ(CodeOf(input->Decode("", 0, true)), absl::StatusCode::kInvalidArgument);
  for (size_t i = 3; i < 6; ++i)
    EXPECT_EQ(CodeOf(input->Decode(frames[i], 0, true)), absl::StatusCode::kUnavailable);
  const auto mended = input->Decode(frames[6], 0, true);
  ASSERT_TRUE(mended.ok()) << mended.status();
  EXPECT_LE(Difference(**mended, TestPicture(320, 240, 6)), kTolerance);
}

TEST_P(EveryStream, TruncatedKeyFramesGiveAStatus) {
  const std::string frame = EncodeStream(GetParam(), {.frames = 1})[0];
  auto input = MakeInput(GetParam());
  for (size_t size = 0; size < frame.size() - 1; size += size < 64 || size + 64 > frame.size() ? 1 : 97) {
    const auto picture = input->Decode(std::string_view(frame).substr(0, size), 0, true);
    if (!picture.ok()) {
      EXPECT_EQ(CodeOf(picture), absl::StatusCode::kInvalidArgument) << size << ": " << picture.status();
      continue;
    }
    // But for the spare bytes at its very end; of an H.264 picture cut before its first slice nothing is
    // shown.
    if (GetParam() == VideoCodec::kH264 && *picture == nullptr) continue;
    ASSERT_NE(*picture, nullptr) << size;
    EXPECT_LE(Difference(**picture, TestPicture(320, 240, 0)), kTolerance) << size << " of " << frame.size();
  }
  EXPECT_TRUE(input->Decode(frame, 0, true).ok());
}

TEST_P(EveryStream, RandomBytesGiveAStatusAndTheStreamRecovers) {
  std::mt19937 random(1);
  const auto frames = EncodeStream(GetParam(), {.frames = 6, .key_interval = 3});
  auto input = MakeInput(GetParam(), 320 * 240);
  for (int i = 0; i < 300; ++i) {
    std::string data = frames[random() % frames.size()];
    if (i % 4 == 0) {
      data.resize(random() % 3'000);
      for (char& byte : data) byte = static_cast<char>(random());
    } else {
      for (unsigned n = 1 + random() % 20; n > 0; --n)
        data[random() % data.size()] = static_cast<char>(random());
    }
    const auto picture = input->Decode(data, 0, random() % 2 == 0);
    if (!picture.ok()) {
      EXPECT_THAT(CodeOf(picture),
                  ::testing::AnyOf(absl::StatusCode::kInvalidArgument, absl::StatusCode::kUnavailable,
                                   absl::StatusCode::kResourceExhausted))
          << picture.status();
    }
  }
  EXPECT_TRUE(input->Decode(frames[0], 0, true).ok());
}

TEST_P(EveryStream, APictureOverTheLimitIsRefused) {
  const auto frames = EncodeStream(GetParam(), {.width = 320, .height = 240, .frames = 2});
  auto small = MakeInput(GetParam(), 320 * 240 - 1);
  EXPECT_EQ(CodeOf(small->Decode(frames[0], 0, true)), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(small->Decode(frames[1], 0, true)), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(MakeInput(GetParam(), 320 * 240)->Decode(frames[0], 0, true).ok());
}

TEST(H264Test, PicturesThatReferToLaterOnesComeAFewFramesLate) {
  const auto frames = EncodeStream(VideoCodec::kH264, {.frames = 12, .key_interval = 100, .b_frames = true});
  auto input = MakeInput(VideoCodec::kH264);
  int shown = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    const auto picture = input->Decode(frames[i], 0, i != 6);
    ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
    if (*picture == nullptr) continue;
    EXPECT_LE(Difference(**picture, TestPicture(320, 240, shown + (i > 6))), kTolerance) << i;
    ++shown;
  }
  EXPECT_GE(shown, 8);
}

TEST(H264Test, ColoursFollowTheMatrixAndRangeThatTheStreamDeclares) {
  for (const bool bt709_full : {false, true}) {
    const auto frames = EncodeStream(VideoCodec::kH264, {.frames = 1, .bt709_full = bt709_full});
    const auto picture = MakeInput(VideoCodec::kH264)->Decode(frames[0], 0, true);
    ASSERT_TRUE(picture.ok()) << picture.status();
    EXPECT_LE(Difference(**picture, TestPicture(320, 240, 0)), 3) << bt709_full;
  }
}

TEST(H264Test, BytesWithoutAStartCodeAreRefused) {
  auto input = MakeInput(VideoCodec::kH264);
  const auto picture = input->Decode(std::string_view("\0\0\0\x20\x67\x42", 6), 0, true);
  EXPECT_EQ(CodeOf(picture), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(picture.status().message()), ::testing::HasSubstr("Annex B"));
}

}  // namespace
}  // namespace parley::streaming

// Decoding in child processes, with FFmpeg in them: what comes out is what VideoInput gives.
#include "streaming/decoders/process_decoders.h"

#include <gmock/gmock.h>

#include "tests/decoders/decoding.h"
#include "tests/video/media_encoder.h"

namespace parley::streaming {
namespace {

using parley::tests::EncodeStill;
using parley::tests::EncodeStream;
using parley::tests::TestPicture;
using testing::HasSubstr;

std::unique_ptr<ProcessDecoders> StartDecoders() {
  static const SimulatedClock clock;  // stands still: no limit of time ends by itself on a busy machine
  auto decoders = ProcessDecoders::Start(
      {.program = PARLEY_DECODER_BINARY, .max_frame_bytes = 64 << 20, .clock = &clock});
  EXPECT_TRUE(decoders.ok()) << decoders.status();
  return *std::move(decoders);
}

TEST(ProcessDecoders, AStillIsDecodedAsItIsInProcess) {
  const auto decoders = StartDecoders();
  for (const VideoCodec codec : {VideoCodec::kJpeg, VideoCodec::kPng}) {
    const std::string data = EncodeStill(codec, TestPicture(641, 479, 3));
    const auto expected = (*VideoInput::Create(codec, kMaxPixels))->Decode(data, 0, true);
    ASSERT_TRUE(expected.ok());
    const auto decoder = Open(*decoders, codec);
    for (int i = 0; i < 3; ++i) {
      const auto image = Decode(*decoder, data);
      ASSERT_TRUE(image.ok()) << image.status();
      ASSERT_EQ((*image)->width, 641);
      ASSERT_EQ((*image)->height, 479);
      EXPECT_EQ((*image)->pixels, (*expected)->pixels);
    }
  }
}

TEST(ProcessDecoders, AStreamIsDecodedAsItIsInProcess) {
  const auto decoders = StartDecoders();
  for (const VideoCodec codec : {VideoCodec::kH264, VideoCodec::kVp8, VideoCodec::kVp9}) {
    const std::vector<std::string> frames = EncodeStream(codec, {.width = 320, .height = 240, .frames = 12});
    const auto expected = VideoInput::Create(codec, kMaxPixels);
    ASSERT_TRUE(expected.ok());
    const auto decoder = Open(*decoders, codec);
    for (size_t i = 0; i < frames.size(); ++i) {
      const bool want = i % 3 != 0;
      const auto theirs = (*expected)->Decode(frames[i], 0, want);
      const auto ours = Decode(*decoder, frames[i], want);
      ASSERT_EQ(ours.ok(), theirs.ok()) << i << ": " << ours.status();
      ASSERT_EQ(*ours != nullptr, *theirs != nullptr) << i;
      if (want) {
        EXPECT_EQ((*ours)->pixels, (*theirs)->pixels) << i;
      }
    }
  }
}

TEST(ProcessDecoders, WhatIsWrongWithAPictureIsSaidAsInProcess) {
  const auto decoders = StartDecoders();
  const std::string data = EncodeStill(VideoCodec::kJpeg, TestPicture(640, 480, 3));
  const auto input = VideoInput::Create(VideoCodec::kJpeg, 1000);
  const auto decoder = Open(*decoders, VideoCodec::kJpeg, 1000);
  for (const std::string& frame :
       {data, data.substr(0, data.size() / 2), std::string(5000, 'x'), std::string()}) {
    const auto expected = (*input)->Decode(frame, 0, true);
    ASSERT_FALSE(expected.ok());
    EXPECT_EQ(Decode(*decoder, frame).status(), expected.status());
  }
}

TEST(ProcessDecoders, ACallsRotationIsItsFrames) {
  const auto decoders = StartDecoders();
  const auto decoder = Open(*decoders);
  Outcome outcome;
  decoder->Decode({.data = EncodeStill(VideoCodec::kJpeg, TestPicture(64, 32, 3)), .rotation_degrees = 90},
                  outcome.Done());
  ASSERT_TRUE(outcome.Get().ok());
  EXPECT_EQ((*outcome.Get())->width, 32);
}

TEST(ProcessDecoders, AStreamGoesOnWithAKeyFrameAfterALoss) {
  const auto decoders = StartDecoders();
  const std::vector<std::string> frames =
      EncodeStream(VideoCodec::kVp8, {.width = 320, .height = 240, .frames = 12, .key_interval = 6});
  const auto decoder = Open(*decoders, VideoCodec::kVp8);
  ASSERT_TRUE(Decode(*decoder, frames[0]).ok());
  Outcome outcome;
  decoder->Decode({.data = frames[2], .after_loss = true}, outcome.Done());
  EXPECT_TRUE(absl::IsUnavailable(outcome.Get().status())) << outcome.Get().status();
  EXPECT_TRUE(absl::IsUnavailable(Decode(*decoder, frames[3]).status()));
  EXPECT_TRUE(Decode(*decoder, frames[6]).ok());
}

TEST(ProcessDecoders, PicturesOfTheLargestSizeFitTheLimitOfMemory) {
  const auto decoders = StartDecoders();
  const engine::Image image = TestPicture(4096, 4096, 1);
  for (const VideoCodec codec : {VideoCodec::kJpeg, VideoCodec::kPng}) {
    const auto decoder = Open(*decoders, codec);
    const auto decoded = Decode(*decoder, EncodeStill(codec, image));
    EXPECT_TRUE(decoded.ok()) << decoded.status();
  }
}

}  // namespace
}  // namespace parley::streaming

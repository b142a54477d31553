// Decoding in child processes, with FFmpeg in them: what comes out is what VideoInput gives.
#include "streaming/decoders/process_decoders.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include "streaming/video/h264_parameter_sets.h"
#include "tests/decoders/decoding.h"
#include "tests/decoders/processes.h"
#include "tests/video/media_encoder.h"

namespace parley::streaming {
namespace {

using parley::tests::EncodeStill;
using parley::tests::EncodeStream;
using parley::tests::TestPicture;
using testing::HasSubstr;

std::unique_ptr<ProcessDecoders> StartDecoders() {
  static const SimulatedClock clock;  // stands still: no limit of time ends by itself on a busy machine
  DecodePolicy policy = PolicyOfThisMachine();
  policy.call_burst = absl::Hours(1);  // of the processor's time, which does not stand still
  auto decoders = ProcessDecoders::Start(
      {.program = PARLEY_DECODER_BINARY, .max_frame_bytes = 64 << 20, .policy = policy, .clock = &clock});
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

// The stream's first message holds them alone, as Android's MediaCodec sends them.
std::vector<std::string> WithParameterSetsApart(std::vector<std::string> frames) {
  const auto slices_at = [](const std::string& frame) {
    size_t at = 0;
    while (at + 4 < frame.size() && (frame.compare(at, 3, "\0\0\1", 3) != 0 || (frame[at + 3] & 0x1f) > 5))
      ++at;
    return at;
  };
  std::string sets = frames[0].substr(0, slices_at(frames[0]));
  for (std::string& frame : frames) frame.erase(0, slices_at(frame));
  frames.insert(frames.begin(), std::move(sets));
  return frames;
}

TEST(ProcessDecoders, ParameterSetsThatWereSentOnceOutliveTheirDecoder) {
  const auto decoders = StartDecoders();
  const std::vector<std::string> messages =
      WithParameterSetsApart(EncodeStream(VideoCodec::kH264, {.frames = 13, .key_interval = 6}));
  const auto decoder = Open(*decoders, VideoCodec::kH264);
  KeptParameterSets kept(kMaxPixels);
  const auto decode = [&](const std::string& message) {
    Outcome outcome;
    decoder->Decode({.data = message, .parameter_sets = kept.message()}, outcome.Done());
    kept.Take(message);
    return outcome.Get();
  };
  const auto none = decode(messages[0]);
  ASSERT_TRUE(none.ok() && *none == nullptr) << none.status();
  ASSERT_TRUE(decode(messages[1]).ok());
  const std::vector<int> children = ChildrenOf(ChildrenOf(getpid()).at(0));
  ASSERT_EQ(children.size(), 1u);
  kill(children[0], SIGKILL);
  AwaitEnd(children[0]);
  EXPECT_FALSE(decode(messages[2]).ok());
  for (size_t i = 7; i < 10; ++i) {
    const auto image = decode(messages[i]);
    ASSERT_TRUE(image.ok()) << i << ": " << image.status();
    EXPECT_NE(*image, nullptr) << i;
  }
}

TEST(ProcessDecoders, PicturesOfTheLargestSizeFitTheLimitOfMemory) {
  const auto decoders = StartDecoders();
  const engine::Image image = TestPicture(4096, 4096, 1);
  for (const VideoCodec codec : {VideoCodec::kJpeg, VideoCodec::kPng}) {
    const auto decoder = Open(*decoders, codec);
    const auto decoded = Decode(*decoder, EncodeStill(codec, image));
    EXPECT_TRUE(decoded.ok()) << decoded.status();
  }
  for (const VideoCodec codec : {VideoCodec::kVp8, VideoCodec::kVp9}) {
    const auto decoder = Open(*decoders, codec);
    for (const std::string& frame : EncodeStream(codec, {.width = 4096, .height = 4096, .frames = 3})) {
      const auto decoded = Decode(*decoder, frame);
      EXPECT_TRUE(decoded.ok()) << decoded.status();
    }
  }
}

}  // namespace
}  // namespace parley::streaming

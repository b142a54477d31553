#include "streaming/video/frame_sampler.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace parley::streaming {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Seconds(1'000);

// Sends frames at `fps` with up to `jitter` of an interval either way; returns how many were looked at.
int Looked(FrameSampler& sampler, absl::Time start, absl::Duration length, double fps, double jitter = 0) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(-jitter, jitter);
  int looked = 0;
  const int frames = static_cast<int>(absl::ToDoubleSeconds(length) * fps);
  for (int i = 0; i < frames; ++i) {
    const absl::Time now = start + absl::Seconds((i + noise(random)) / fps);
    if (!sampler.Due(now)) continue;
    sampler.Looked(now);
    ++looked;
  }
  return looked;
}

TEST(FrameSamplerTest, TheFirstFrameIsAlwaysDue) {
  FrameSampler sampler({});
  EXPECT_TRUE(sampler.Due(kStart));
  sampler.Looked(kStart);
  EXPECT_FALSE(sampler.Due(kStart));
}

TEST(FrameSamplerTest, AFastCameraIsLookedAtAsOftenAsThePolicySays) {
  FrameSampler silent({.speaking_fps = 1, .silent_fps = 0.3f});
  EXPECT_NEAR(Looked(silent, kStart, absl::Seconds(100), 30), 30, 1);
  FrameSampler speaking({.speaking_fps = 1, .silent_fps = 0.3f});
  speaking.SetSpeaking(true);
  EXPECT_NEAR(Looked(speaking, kStart, absl::Seconds(100), 30), 100, 1);
}

TEST(FrameSamplerTest, ACameraAtTheSuggestedRateLosesNothingToJitter) {
  FrameSampler sampler({.speaking_fps = 2});
  sampler.SetSpeaking(true);
  EXPECT_EQ(sampler.suggested_fps(), 2);
  EXPECT_EQ(Looked(sampler, kStart, absl::Seconds(100), 2, 0.12), 200);
}

TEST(FrameSamplerTest, JitterNeverRaisesTheRate) {
  FrameSampler sampler({.speaking_fps = 1});
  sampler.SetSpeaking(true);
  EXPECT_LE(Looked(sampler, kStart, absl::Seconds(200), 7, 0.4), 201);
}

TEST(FrameSamplerTest, SpeechBringsTheNextFrameForward) {
  FrameSampler sampler({.speaking_fps = 1, .silent_fps = 0.1f});
  sampler.Looked(kStart);
  EXPECT_FALSE(sampler.Due(kStart + absl::Seconds(2)));
  sampler.SetSpeaking(true);
  EXPECT_TRUE(sampler.Due(kStart + absl::Seconds(2)));
  EXPECT_FALSE(sampler.Due(kStart + absl::Seconds(0.5)));
}

TEST(FrameSamplerTest, AFrameThatCouldNotBeDecodedLeavesItsPlaceToTheNext) {
  FrameSampler sampler({});
  sampler.Looked(kStart);
  const absl::Time due = kStart + absl::Seconds(4);
  EXPECT_TRUE(sampler.Due(due));
  EXPECT_TRUE(sampler.Due(due + absl::Milliseconds(33)));
}

TEST(FrameSamplerTest, AClockThatGoesBackBringsNoFlood) {
  FrameSampler sampler({});
  sampler.Looked(kStart);
  EXPECT_FALSE(sampler.Due(kStart - absl::Hours(1)));
  EXPECT_TRUE(sampler.Due(kStart + absl::Seconds(4)));
}

TEST(FrameSamplerTest, APolicyOfZeroFramesDoesNotDivideByZero) {
  FrameSampler sampler({.speaking_fps = 0, .silent_fps = 0});
  sampler.Looked(kStart);
  EXPECT_FALSE(sampler.Due(kStart + absl::Seconds(60)));
}

TEST(LatestFrameTest, TheLatestFrameWinsAndTheLoserIsHandedBack) {
  LatestFrame<std::string> latest;
  EXPECT_EQ(latest.Put("a"), std::nullopt);
  EXPECT_EQ(latest.Put("b"), "a");
  EXPECT_FALSE(latest.empty());
  EXPECT_EQ(latest.Take(), "b");
  EXPECT_EQ(latest.Take(), std::nullopt);
  EXPECT_TRUE(latest.empty());
}

}  // namespace
}  // namespace parley::streaming

// Audio that does not come: what is silence, what is late, and when nothing can be said.
#include <opus/opus.h>

#include "base/running_clock.h"
#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

class StallsTest : public CallFixture {
 protected:
  void Say(int windows) {
    for (int i = 0; i < windows; ++i) ChunkAndTick(0.5f);
  }
  void BeSilent(int windows) {
    for (int i = 0; i < windows; ++i) ChunkAndTick(0);
  }
  // Time passes and the owner ticks, as it does ten times a second; nothing comes.
  void Stall(absl::Duration length) {
    for (; length > absl::ZeroDuration(); length -= absl::Milliseconds(100)) {
      clock_.Advance(std::min(length, absl::Milliseconds(100)));
      call_->Tick();
      RunUntilIdle();
    }
  }

 private:
  void ChunkAndTick(float level) {
    Chunk(level);
    call_->Tick();
    RunUntilIdle();
  }
};

TEST_F(StallsTest, AStallInMidSpeechIsNotSilenceAndTheTurnIsWhole) {
  engine_.SetAnswerTokens(1);
  Start();
  Say(10);
  Stall(absl::Milliseconds(2'500));
  EXPECT_EQ(Count("committed"), 0);
  Say(10);
  BeSilent(16);
  EXPECT_EQ(Count("committed"), 1);
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
  EXPECT_EQ(engine_.utterances().back().size(), 26u * 512);
}

TEST_F(StallsTest, AStallInAPauseShorterThanSilenceKeepsTheTurn) {
  Start();
  Say(10);
  BeSilent(10);
  Stall(absl::Seconds(2));
  Say(10);
  BeSilent(16);
  EXPECT_EQ(Count("committed"), 1);
}

TEST_F(StallsTest, AudioInChunksOfASecondIsOneTurn) {
  engine_.SetAnswerTokens(1);
  Start();
  for (const float level : {0.5f, 0.5f, 0.5f, 0.0f}) {
    Stall(absl::Seconds(1));
    call_->Push(input::Audio{Pcm(level, 16'000), next_sample_, kNotKnown}, ++seq_);
    next_sample_ += 16'000;
    RunUntilIdle();
  }
  EXPECT_EQ(Count("started"), 1);
  EXPECT_EQ(Count("committed"), 1);
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
}

TEST_F(StallsTest, SpeechWhoseAudioStopsComingIsCommittedAfterAudioIdle) {
  for (const absl::Duration idle : {absl::Milliseconds(500), absl::Seconds(3), absl::Seconds(20)}) {
    SCOPED_TRACE(idle);
    config_.turn.audio_idle = idle;
    next_sample_ = 0;
    last_epoch_ = 0;
    lines_.clear();
    Start();
    Stall(absl::Milliseconds(100));
    Say(20);
    Stall(idle - absl::Milliseconds(100));
    EXPECT_EQ(Count("committed"), 0);
    Stall(absl::Milliseconds(200));
    EXPECT_EQ(Count("committed 1/0 audio_idle"), 1);
    EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  }
}

TEST_F(StallsTest, AServerThatIsLateItselfConcludesNothing) {
  Start();
  Say(20);
  clock_.Advance(absl::Seconds(30));  // it stood still: what was sent meanwhile is not read yet
  call_->Tick();
  RunUntilIdle();
  Stall(absl::Seconds(2));
  EXPECT_EQ(Count("committed"), 0);
  Say(5);
  BeSilent(16);
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
}

TEST_F(StallsTest, AServerWhoseClockLeavesOutThatItStoodStillConcludesNothing) {
  const RunningClock clock(&clock_);
  call_clock_ = &clock;
  config_.turn.audio_idle = absl::Milliseconds(500);
  Start();
  Stall(absl::Milliseconds(100));
  Say(20);
  clock_.Advance(absl::Seconds(30));
  call_->Tick();
  RunUntilIdle();
  EXPECT_EQ(Count("committed"), 0);
  Say(5);
  BeSilent(16);
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
}

TEST_F(StallsTest, WhereSilenceIsNotSentItMayBeAsLongAsTheServerStoodStill) {
  const RunningClock clock(&clock_);
  call_clock_ = &clock;
  config_.audio->dtx = true;
  Start();
  Say(20);
  clock_.Advance(absl::Minutes(1));
  next_sample_ += 60 * 16'000;
  Say(20);
  EXPECT_EQ(Count("error"), 0);
  EXPECT_EQ(Count("started"), 2);
}

TEST_F(StallsTest, WhatWaitsForTheDetectorIsNotMissing) {
  HeldDetector held;
  detector_thread_ = held.Take();
  Start();
  Say(20);
  held.Answer(0.9f, 19);
  RunUntilIdle();
  EXPECT_EQ(Count("started"), 1);
  Stall(absl::Seconds(10));
  EXPECT_EQ(Count("committed"), 0);
  held.Answer(0.9f, 1);
  RunUntilIdle();
  Stall(absl::Milliseconds(3'100));
  EXPECT_EQ(Count("committed 1/0 audio_idle"), 1);
}

TEST_F(StallsTest, WhereSilenceIsNotSentMissingSamplesAreSilence) {
  config_.audio->dtx = true;
  Start();
  Say(20);
  Stall(absl::Milliseconds(700));
  EXPECT_EQ(Count("committed"), 0);
  Stall(absl::Milliseconds(100));
  EXPECT_EQ(Count("committed 1/0 audio_idle"), 1);
}

TEST_F(StallsTest, WhereSilenceIsNotSentItIsNeitherWarnedOfNorAnErrorHoweverLong) {
  config_.audio->dtx = true;
  for (const absl::Duration silence : {absl::Milliseconds(64), absl::Milliseconds(1'600), absl::Minutes(1)}) {
    SCOPED_TRACE(silence);
    next_sample_ = 0;
    last_epoch_ = 0;
    lines_.clear();
    Start();
    Say(20);
    Stall(silence);
    next_sample_ += static_cast<uint64_t>(absl::ToInt64Milliseconds(silence) * 16);
    Say(20);
    BeSilent(16);
    EXPECT_EQ(Count("warning"), 0);
    EXPECT_EQ(Count("error"), 0);
    EXPECT_EQ(Count("committed"), silence < absl::Milliseconds(100) ? 1 : 2);
  }
}

TEST_F(StallsTest, WhereSilenceIsNotSentOneDamagedIndexMovesNothing) {
  config_.audio->dtx = true;
  Start();
  Say(10);
  call_->Push(input::Audio{Pcm(0.5f), next_sample_ + 16'000'000, kNotKnown}, 99);
  RunUntilIdle();
  EXPECT_EQ(Count("error audio_gap seq 99"), 1);
  Say(10);
  BeSilent(16);
  EXPECT_EQ(Count("committed"), 1);
}

TEST_F(StallsTest, WhereSilenceIsNotSentTheSilenceThatWasSentCounts) {
  config_.audio->dtx = true;
  Start();
  Say(20);
  BeSilent(10);  // 320 of the 500 ms
  Stall(absl::Milliseconds(400));
  EXPECT_EQ(Count("committed"), 0);
  Stall(absl::Milliseconds(100));
  EXPECT_EQ(Count("committed 1/0 audio_idle"), 1);
}

TEST_F(StallsTest, AnOpusStreamShowsByItsPacketsThatItLeavesOutSilence) {
  config_.audio = AudioFormat{.codec = AudioCodec::kOpus, .sample_rate_hz = 48'000};
  detector_.anywhere = true;
  Start();
  Stall(absl::Milliseconds(100));
  int error = 0;
  OpusEncoder* encoder = opus_encoder_create(48'000, 1, OPUS_APPLICATION_VOIP, &error);
  ASSERT_EQ(error, OPUS_OK);
  opus_encoder_ctl(encoder, OPUS_SET_DTX(1));
  bool seen = false;
  const auto send = [&](float level, int packets) {
    for (int i = 0; i < packets; ++i, next_sample_ += 960) {
      std::vector<float> frame(960);
      for (int n = 0; n < 960; ++n) frame[n] = level * std::sin(0.03f * static_cast<float>(next_sample_ + n));
      unsigned char packet[1'500];
      const int bytes = opus_encode_float(encoder, frame.data(), 960, packet, sizeof(packet));
      if (bytes <= 2 && std::exchange(seen, true)) continue;  // it "does not need to be transmitted"
      call_->Push(input::Audio{std::string(reinterpret_cast<char*>(packet), static_cast<size_t>(bytes)),
                               next_sample_, kNotKnown},
                  ++seq_);
      RunUntilIdle();
    }
  };
  send(0.5f, 10);
  send(0, 60);  // a second and a bit
  ASSERT_TRUE(seen);
  EXPECT_EQ(Count("committed"), 1);
  EXPECT_EQ(Count("warning"), 0);
  send(0.5f, 20);
  Stall(absl::Milliseconds(800));
  EXPECT_EQ(Count("committed 2/0 audio_idle"), 1);
  opus_encoder_destroy(encoder);
}

}  // namespace
}  // namespace parley::streaming

// What becomes of the camera's frames: before, while and after the user speaks.
#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::Contains;
using testing::ElementsAre;

using FramesTest = CallFixture;

TEST_F(FramesTest, AFrameIsPrefilledWhenItArrivesAndBelongsToTheTurnThatFollows) {
  engine_.Hear("what is this");
  engine_.SetAnswerTokens(1);
  Start();
  Show(50);
  EXPECT_THAT(News(), ElementsAre("frame 1 encoded"));
  EXPECT_EQ(engine_.History(), "U: [16]");
  EXPECT_EQ(Last<InputStatus>()->description, "a picture");
  Turn();
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1));
  EXPECT_EQ(Last<TurnTimes>()->tokens_prefilled_early, 10);
  EXPECT_EQ(engine_.History(), "U: [16] what is this | A: t1.1");
}

TEST_F(FramesTest, AFramesAgeIsItsWayHereAndItsWaitForTheModel) {
  uplink_ = absl::Milliseconds(40);
  pace_ = 0;
  Start();
  Show(50);  // 32 ms pass
  clock_.Advance(absl::Milliseconds(100));
  RunUntilIdle();
  ASSERT_TRUE(Last<InputStatus>()->encoded);
  EXPECT_EQ(Last<InputStatus>()->age, absl::Milliseconds(172));
  Show(51);  // the same scene: dropped at once
  EXPECT_EQ(Last<InputStatus>()->reason, DropReason::kSceneUnchanged);
  EXPECT_EQ(Last<InputStatus>()->age, absl::Milliseconds(72));
  uplink_ = absl::InfiniteDuration();
  clock_.Advance(absl::Milliseconds(100));
  Show(150);
  RunUntilIdle();
  EXPECT_EQ(Last<InputStatus>()->age, absl::InfiniteDuration());
}

TEST_F(FramesTest, FramesAreAlsoPrefilledWhileTheUserSpeaks) {
  engine_.SetAnswerTokens(1);
  Start();
  Say(5);
  Show(50);
  Say(5);
  Show(150);
  EXPECT_EQ(engine_.History(), "U: [16] [16]");
  Turn();
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1, 2));
}

TEST_F(FramesTest, DuringAnAnswerTheNewestFrameWaitsForTheNextTurn) {
  pace_ = 0;
  engine_.SetAnswerTokens(3);
  Start();
  call_->Push(input::Text{"hi"}, ++seq_);
  Steps(2);
  News();
  for (const int luma : {50, 100, 150, 200}) {
    Show(luma);
    clock_.Advance(absl::Milliseconds(100));
  }
  EXPECT_THAT(News(), ElementsAre("frame 1 superseded", "frame 2 superseded", "frame 3 superseded"));
  RunUntilIdle();
  EXPECT_THAT(News(),
              ElementsAre("token 1/1 t1.2 ", "token 1/1 t1.3 ", "done 1/1 end_of_turn", "frame 4 encoded"));
  EXPECT_EQ(engine_.History(), "U: hi | A: t1.1 t1.2 t1.3 | U: [16]");
}

TEST_F(FramesTest, WhileOneIsEncodedTheNewestOfTheOthersWins) {
  pace_ = 0;
  Start();
  for (const int luma : {50, 100, 150, 200}) {
    Show(luma);
    clock_.Advance(absl::Milliseconds(100));
  }
  EXPECT_THAT(News(), ElementsAre("frame 2 superseded", "frame 3 superseded"));
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("frame 1 encoded", "frame 4 encoded"));
}

TEST_F(FramesTest, TheFrameThatWaitsEntersTheTurnThatIsCommitted) {
  pace_ = 0;
  Start();
  Show(50);
  clock_.Advance(absl::Milliseconds(100));
  Show(150);
  Turn();
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1, 2));
  RunUntilIdle();
  EXPECT_EQ(engine_.History().substr(0, 16), "U: [16] [16] spe");
}

TEST_F(FramesTest, AnUnchangedSceneIsDroppedAndAChangedOneIsNot) {
  Start();
  for (const int luma : {50, 50, 51, 90}) {
    Show(luma);
    clock_.Advance(absl::Milliseconds(100));
  }
  EXPECT_THAT(News(), ElementsAre("frame 1 encoded", "frame 2 scene_unchanged", "frame 3 scene_unchanged",
                                  "frame 4 encoded"));
}

TEST_F(FramesTest, FramesAboveTheRateAreDroppedAndMoreAreLookedAtWhileTheUserSpeaks) {
  config_.video_policy = {.speaking_fps = 5, .silent_fps = 0.5, .scene_threshold = 0};
  Start();
  auto encoded_in_two_seconds = [this](float level) {
    const int before = Count("frame");
    int encoded = -static_cast<int>(std::count_if(lines_.begin(), lines_.end(), [](const std::string& line) {
      return line.find(" encoded") != std::string::npos;
    }));
    for (int i = 0; i < 31; ++i) {
      Chunk(level);
      Show(static_cast<uint8_t>(i * 5));
    }
    encoded += static_cast<int>(std::count_if(lines_.begin(), lines_.end(), [](const std::string& line) {
      return line.find(" encoded") != std::string::npos;
    }));
    EXPECT_EQ(Count("frame") - before, 31);
    return encoded;
  };
  EXPECT_NEAR(encoded_in_two_seconds(0), 1, 1);
  EXPECT_NEAR(encoded_in_two_seconds(0.5), 10, 2);
  EXPECT_FLOAT_EQ(Last<InputStatus>()->suggested_fps, 5);
}

TEST_F(FramesTest, DamagedAndForeignPicturesAreReportedAndTheCallGoesOn) {
  Start();
  call_->Push(input::Frame{TestPng(50).substr(0, 60), 1, 0, kNotKnown}, ++seq_);
  call_->Push(input::Frame{"", 2, 0, kNotKnown}, ++seq_);
  call_->Push(input::Frame{std::string(5000, 'x'), 3, 0, kNotKnown}, ++seq_);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("frame 1 undecodable", "frame 2 undecodable", "frame 3 undecodable"));
  EXPECT_NE(Last<InputStatus>()->detail, "");
  last_frame_ = 3;
  Show(50);
  EXPECT_THAT(News(), ElementsAre("frame 4 encoded"));
}

TEST_F(FramesTest, AFrameNumberThatDoesNotGrowIsAnError) {
  Start();
  Show(50);
  call_->Push(input::Frame{TestPng(150), 1, 0, kNotKnown}, 77);
  call_->Push(input::Frame{TestPng(150), 2, 45, kNotKnown}, 78);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("frame 1 encoded", "error invalid_sequence seq 77",
                                  "error invalid_message seq 78"));
}

TEST_F(FramesTest, ACameraFasterThanTheDecoderLosesTheOldestStillsAndIsTold) {
  config_.video_policy.scene_threshold = 0;
  Start();
  for (uint64_t i = 1; i <= 40; ++i)
    call_->Push(input::Frame{TestPng(static_cast<uint8_t>(i)), i, 0, kNotKnown}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(Count("frame"), 40);
  const auto overloaded = std::count_if(lines_.begin(), lines_.end(), [](const std::string& line) {
    return line.find(" overloaded") != std::string::npos;
  });
  EXPECT_EQ(overloaded, 40 - 16);
  EXPECT_THAT(lines_, Contains("frame 24 overloaded"));
  EXPECT_THAT(lines_, Contains("frame 25 encoded"));
}

TEST_F(FramesTest, AStreamFasterThanTheDecoderLosesTheNewestAndEveryFrameIsReported) {
  config_.video = VideoCodec::kH264;
  Start();
  for (uint64_t i = 1; i <= 40; ++i) {
    call_->Push(input::Frame{std::string("\0\0\0\1\x41junk", 9), i, 0, kNotKnown}, ++seq_);
  }
  RunUntilIdle();
  EXPECT_EQ(Count("frame"), 40);
  EXPECT_THAT(lines_, Contains("frame 17 overloaded"));
  EXPECT_THAT(lines_, Contains("frame 40 overloaded"));
}

TEST_F(FramesTest, ParameterSetsInAMessageOfTheirOwnAreNoError) {
  config_.video = VideoCodec::kH264;
  Start();
  // 128 x 96, baseline; then a picture that goes on from another.
  const std::string sets("\0\0\0\1\x67\x42\x00\x0a\xf8\x41\xa2\0\0\0\1\x68\xce\x38\x80", 19);
  call_->Push(input::Frame{sets, 1, 0, kNotKnown}, ++seq_);
  call_->Push(input::Frame{std::string("\0\0\0\1\x41\x9a\x21\x43", 8), 2, 0, kNotKnown}, ++seq_);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("frame 1 sampled_out", "frame 2 waiting_for_key_frame"));
}

TEST_F(FramesTest, ClearThrowsAwayFramesAndSpeechSinceTheLastTurn) {
  engine_.SetAnswerTokens(1);
  engine_.Hear("again");
  Start();
  call_->Push(input::Text{"hi"}, ++seq_);
  RunUntilIdle();
  Show(50);
  Say(10);
  call_->Push(input::Clear{}, ++seq_);
  RunUntilIdle();
  BeSilent(30);
  EXPECT_EQ(Count("committed"), 1);
  EXPECT_EQ(engine_.History(), "U: hi | A: t1.1");
  Show(50);  // the same scene: what was kept of it is gone
  Turn();
  EXPECT_EQ(engine_.History(), "U: hi | A: t1.1 | U: [16] again | A: t2.1");
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(2));
}

TEST_F(FramesTest, ClearReportsTheFramesInFlight) {
  pace_ = 0;
  Start();
  Show(50);
  clock_.Advance(absl::Milliseconds(100));
  Show(150);
  call_->Push(input::Clear{}, ++seq_);
  Run();
  EXPECT_THAT(News(), ElementsAre("frame 2 cleared"));
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("frame 1 cleared"));
  EXPECT_EQ(engine_.History(), "");
}

TEST_F(FramesTest, ClearLeavesACommittedTurnAlone) {
  pace_ = 0;
  engine_.Hear("this");
  engine_.SetAnswerTokens(1);
  Start();
  Show(50);
  Turn();
  call_->Push(input::Clear{}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: [16] this | A: t1.1");
  EXPECT_EQ(Count("frame 1 encoded"), 1);
}

TEST_F(FramesTest, FramesOfATurnThatWasNoiseBelongToTheNextTurn) {
  engine_.Hear("");
  engine_.Hear("words");
  engine_.SetAnswerTokens(1);
  Start();
  Show(50);
  Turn();
  EXPECT_EQ(engine_.History(), "U: [16]");
  Turn();
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1));
  EXPECT_EQ(engine_.History(), "U: [16] words | A: t1.1");
  engine_.Hear("");
  Show(150);
  Turn();
  call_->Push(input::Clear{}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: [16] words | A: t1.1");
}

TEST_F(FramesTest, CloseWaitsForTheFrameUnderWay) {
  pace_ = 0;
  Start();
  Show(50);
  call_->Push(input::Close{}, 0);
  Run();
  EXPECT_EQ(Count("ended"), 0);
  RunUntilIdle();
  EXPECT_EQ(lines_.back(), "ended");
  EXPECT_EQ(Count("frame 1 encoded"), 1);
}

TEST_F(FramesTest, CloseWaitsForFramesThatWereNotDecodedYet) {
  Start();
  Show(50);
  for (uint64_t i = 2; i <= 4; ++i) call_->Push(input::Frame{TestPng(50), i, 0, kNotKnown}, ++seq_);
  call_->Push(input::Close{}, 0);
  RunUntilIdle();
  EXPECT_EQ(Count("frame"), 4);
  EXPECT_EQ(lines_.back(), "ended");
}

TEST_F(FramesTest, AVideoPolicyChangesInMidCall) {
  config_.video_policy.scene_threshold = 1;
  Start();
  Show(50);
  clock_.Advance(absl::Milliseconds(200));
  Show(200);
  EXPECT_EQ(Count("frame 2 scene_unchanged"), 1);
  config_.video_policy.scene_threshold = 0;
  call_->Push(input::Update{config_}, 0);
  clock_.Advance(absl::Milliseconds(200));
  Show(200);
  EXPECT_EQ(Count("frame 3 encoded"), 1);
}

}  // namespace
}  // namespace parley::streaming

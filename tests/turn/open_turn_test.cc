// What is told of a turn that is not over: that it pauses, that it goes on, that there is more of it to hear.
#include "tests/turn/endpointer_fixture.h"

namespace parley::streaming {
namespace {

using OpenTurnTest = EndpointerTest;

// ---------------------------------------------------------------- pauses

TEST_F(OpenTurnTest, APauseIsToldWithTheAudioThatTheCommitHandsOver) {
  Feed(20, kSilence);
  Feed(30, kSpeech);
  Feed(5, kSilence);
  EXPECT_TRUE(Of(Kind::kPaused).empty());
  Feed(1, kSilence);  // 192 ms
  ASSERT_EQ(Of(Kind::kPaused).size(), 1u);
  const TurnEvent pause = Of(Kind::kPaused)[0].event;
  Feed(10, kSilence);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  const TurnEvent committed = Of(Kind::kCommitted)[0].event;
  EXPECT_EQ(pause.sample, committed.sample);
  EXPECT_EQ(pause.start, committed.start);
  EXPECT_EQ(pause.end, committed.end);
  EXPECT_EQ(pause.end, Windows(50) + Endpointer::kTailSamples);
  EXPECT_EQ(Of(Kind::kPaused).size(), 1u);
  EXPECT_TRUE(Of(Kind::kResumed).empty());
}

TEST_F(OpenTurnTest, TheFirstWindowOfSpeechEndsAPauseAndThereMayBeAnother) {
  Feed(10, kSpeech);
  for (int i = 1; i <= 3; ++i) {
    Feed(8, kSilence);
    EXPECT_EQ(Of(Kind::kPaused).size(), static_cast<size_t>(i));
    EXPECT_EQ(Of(Kind::kResumed).size(), static_cast<size_t>(i - 1));
    Feed(1, 0.4f);  // as low as speech goes on at
    EXPECT_EQ(Of(Kind::kResumed).size(), static_cast<size_t>(i));
    Feed(5, kSpeech);
    EXPECT_EQ(Of(Kind::kResumed).size(), static_cast<size_t>(i));
  }
  EXPECT_TRUE(Of(Kind::kCommitted).empty());
}

TEST_F(OpenTurnTest, AResumptionComesBeforeTheInterruptionThatItCauses) {
  config_.interruption_min_duration = absl::Milliseconds(160);
  Use(config_);
  endpointer_.SetAnswerActive(true);
  Feed(4, kSpeech);
  Feed(6, kSilence);
  Feed(5, kSpeech);
  ASSERT_EQ(Of(Kind::kResumed).size(), 1u);
  ASSERT_EQ(Of(Kind::kOverAnswer).size(), 1u);
  EXPECT_LE(Of(Kind::kResumed)[0].at, Of(Kind::kOverAnswer)[0].at);
}

TEST_F(OpenTurnTest, ALongerPauseIsWaitedForAndFromSilenceOnThereIsNone) {
  config_.speculation.pause = absl::Milliseconds(320);
  Use(config_);
  Feed(10, kSpeech);
  Feed(9, kSilence);
  EXPECT_TRUE(Of(Kind::kPaused).empty());
  Feed(1, kSilence);
  EXPECT_EQ(Of(Kind::kPaused).size(), 1u);
  said_.clear();
  config_.speculation.pause = absl::Milliseconds(512);
  endpointer_.Configure(config_);
  Feed(10, kSilence);
  Feed(10, kSpeech);
  Feed(20, kSilence);
  EXPECT_TRUE(Of(Kind::kPaused).empty());
  EXPECT_EQ(Of(Kind::kCommitted).size(), 2u);
}

TEST_F(OpenTurnTest, NoPauseIsToldWithoutATurnInManualModeOrWhenSwitchedOff) {
  Feed(2, kSpeech);
  Feed(40, kSilence);
  config_.mode = TurnMode::kManual;
  endpointer_.Configure(config_);
  endpointer_.ActivityStart(position_);
  Feed(40, kSilence);
  endpointer_.ActivityEnd(position_);
  config_.mode = TurnMode::kVad;
  config_.speculation.enabled = false;
  endpointer_.Configure(config_);
  Feed(20, kSpeech);
  Feed(40, kSilence);
  EXPECT_TRUE(Of(Kind::kPaused).empty());
}

TEST_F(OpenTurnTest, AChangedConfigurationTellsThePauseAgain) {
  Feed(20, kSpeech);
  Feed(8, kSilence);
  endpointer_.Configure(config_);
  Feed(1, kSilence);
  EXPECT_EQ(Of(Kind::kPaused).size(), 2u);
}

TEST_F(OpenTurnTest, AClearedPauseIsOver) {
  Feed(20, kSpeech);
  Feed(8, kSilence);
  endpointer_.Clear(position_);
  Feed(10, kSpeech);
  EXPECT_TRUE(Of(Kind::kResumed).empty());
}

// ---------------------------------------------------------------- growth

TEST_F(OpenTurnTest, ATurnThatGoesOnIsToldEachTimeItHasGrownByHalf) {
  Feed(20, kSilence);
  Feed(500, kSpeech);
  const std::vector<Said> grown = Of(Kind::kGrown);
  ASSERT_EQ(grown.size(), 5u);  // 3, 4.5, 6.8, 10 and 15 s
  int64_t last = Endpointer::kFirstGrowth * 2 / 3;
  for (const Said& said : grown) {
    const int64_t length = said.event.end - said.event.start;
    EXPECT_EQ(said.event.start, Windows(20) - ToSamples(config_.prefix_padding));
    EXPECT_EQ(said.event.end, said.at);
    EXPECT_GE(length, last + last / 2);
    EXPECT_LT(length, last + last / 2 + kWindow);
    last = length;
  }
}

TEST_F(OpenTurnTest, InAPauseNothingGrowsUntilSpeechGoesOn) {
  Feed(80, kSpeech);
  Feed(15, kSilence);
  EXPECT_TRUE(Of(Kind::kGrown).empty());
  Feed(1, kSpeech);
  ASSERT_EQ(Of(Kind::kGrown).size(), 1u);
  EXPECT_EQ(Of(Kind::kGrown)[0].at, Windows(96));
}

TEST_F(OpenTurnTest, EachTurnGrowsAnew) {
  for (int turn = 1; turn <= 3; ++turn) {
    Feed(100, kSpeech);
    Feed(16, kSilence);
    EXPECT_EQ(Of(Kind::kGrown).size(), static_cast<size_t>(turn));
  }
}

TEST_F(OpenTurnTest, AnActivityGrowsOnceThereIsSpeechInIt) {
  config_.mode = TurnMode::kManual;
  Use(config_);
  Feed(200, kSpeech);
  EXPECT_TRUE(Of(Kind::kGrown).empty());
  Feed(50, kSilence);
  endpointer_.ActivityStart(position_);
  Feed(100, kSilence);
  EXPECT_TRUE(Of(Kind::kGrown).empty());
  Feed(3, kSpeech);
  EXPECT_EQ(Of(Kind::kGrown).size(), 1u);
}

TEST_F(OpenTurnTest, AnActivityHoldsSpeechWhereARunOfItIsLongEnough) {
  config_.mode = TurnMode::kManual;
  Use(config_);
  const auto has_speech = [this](int loud, float probability, int quiet) {
    Feed(50, kSilence);
    endpointer_.ActivityStart(position_);
    for (int i = 0; i < 5; ++i) {
      Feed(loud, probability);
      Feed(quiet, kSilence);
    }
    said_.clear();
    Keep(endpointer_.ActivityEnd(position_));
    return Of(Kind::kCommitted)[0].event.has_speech;
  };
  EXPECT_FALSE(has_speech(0, kSpeech, 10));
  EXPECT_FALSE(has_speech(2, kSpeech, 10));
  EXPECT_FALSE(has_speech(10, 0.45f, 10));
  EXPECT_TRUE(has_speech(3, kSpeech, 10));
  EXPECT_TRUE(has_speech(1, kSpeech, 3));  // a run with dips
}

TEST_F(OpenTurnTest, TheSpeechOfATurnBeforeIsNotTheNextOnes) {
  config_.mode = TurnMode::kManual;
  Use(config_);
  endpointer_.ActivityStart(position_);
  Feed(20, kSpeech);
  Keep(endpointer_.ActivityEnd(position_));
  endpointer_.ActivityStart(position_);
  Feed(20, kSilence);
  Keep(endpointer_.ActivityEnd(position_));
  ASSERT_EQ(Of(Kind::kCommitted).size(), 2u);
  EXPECT_TRUE(Of(Kind::kCommitted)[0].event.has_speech);
  EXPECT_FALSE(Of(Kind::kCommitted)[1].event.has_speech);
}

TEST_F(OpenTurnTest, NoGrowthIsToldWhereSpeculationIsSwitchedOff) {
  config_.speculation.enabled = false;
  Use(config_);
  Feed(500, kSpeech);
  EXPECT_TRUE(Of(Kind::kGrown).empty());
}

}  // namespace
}  // namespace parley::streaming

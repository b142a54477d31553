// Turns in simulated time: one probability every 32 ms.
#include "tests/turn/endpointer_fixture.h"

namespace parley::streaming {
namespace {

TEST_F(EndpointerTest, ASilenceStartsNothing) {
  Feed(1000, kSilence);
  EXPECT_TRUE(said_.empty());
}

TEST_F(EndpointerTest, ANoiseShorterThanMinimumSpeechStartsNothing) {
  Feed(10, kSilence);
  for (int i = 0; i < 20; ++i) {
    Feed(2, kSpeech);  // 64 ms; the default minimum is 96
    Feed(10, kSilence);
  }
  EXPECT_TRUE(said_.empty());
}

TEST_F(EndpointerTest, SpeechStartsOnceAtTheMinimumAndPointsBackToItsFirstWindow) {
  Feed(20, kSilence);
  Feed(3, kSpeech);
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_EQ(said_[0].event.kind, Kind::kSpeechStarted);
  EXPECT_EQ(said_[0].event.sample, Windows(20));
  EXPECT_EQ(said_[0].at, Windows(23));
  EXPECT_FLOAT_EQ(said_[0].event.probability, kSpeech);
  Feed(10, kSpeech);
  EXPECT_EQ(said_.size(), 1u);
}

TEST_F(EndpointerTest, AMinimumOfZeroStartsWithTheFirstWindow) {
  config_.min_speech = absl::ZeroDuration();
  Use(config_);
  Feed(1, kSpeech);
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_EQ(said_[0].event.sample, 0);
}

TEST_F(EndpointerTest, SilenceEndsTheTurnAndTheStopComesBeforeTheCommit) {
  Feed(20, kSilence);
  Feed(30, kSpeech);
  config_.speculation.enabled = false;
  endpointer_.Configure(config_);
  Feed(15, kSilence);  // 480 ms
  EXPECT_EQ(said_.size(), 1u);
  Feed(1, kSilence);  // 512 ms; the default is 500
  ASSERT_EQ(said_.size(), 3u);
  EXPECT_EQ(said_[1].event.kind, Kind::kSpeechStopped);
  EXPECT_EQ(said_[1].event.sample, Windows(50));
  const TurnEvent& committed = said_[2].event;
  EXPECT_EQ(committed.kind, Kind::kCommitted);
  EXPECT_EQ(committed.reason, CommitReason::kSilence);
  EXPECT_EQ(committed.start, Windows(20) - ToSamples(absl::Milliseconds(300)));
  EXPECT_EQ(committed.end, Windows(50) + Endpointer::kTailSamples);
}

TEST_F(EndpointerTest, APauseShorterThanSilenceKeepsTheTurn) {
  Feed(10, kSpeech);
  for (int i = 0; i < 10; ++i) {
    Feed(15, kSilence);
    Feed(5, kSpeech);
  }
  EXPECT_EQ(Of(Kind::kCommitted).size(), 0u);
  Feed(16, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kSpeechStarted).size(), 1u);
}

TEST_F(EndpointerTest, SpeechGoesOnBetweenTheThresholdsButDoesNotStartThere) {
  Feed(50, 0.4f);
  EXPECT_TRUE(said_.empty());
  Feed(3, kSpeech);
  Feed(80, 0.4f);  // at least start - 0.15
  EXPECT_EQ(said_.size(), 1u);
  Feed(16, 0.3f);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
}

TEST_F(EndpointerTest, TheLowestStartThresholdStillEnds) {
  config_.start_threshold = 0.05f;
  Use(config_);
  Feed(10, 0.06f);
  Feed(16, 0.005f);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
}

TEST_F(EndpointerTest, PrefixPaddingNeverReachesBackBeforeTheCallsStart) {
  Feed(2, kSilence);
  Feed(10, kSpeech);
  Feed(16, kSilence);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.start, 0);
}

TEST_F(EndpointerTest, PrefixPaddingNeverReachesBackBeforeThePreviousTurnsEnd) {
  config_.prefix_padding = absl::Seconds(2);
  Use(config_);
  Feed(10, kSpeech);
  Feed(16, kSilence);
  Feed(10, kSpeech);
  Feed(16, kSilence);
  const auto turns = Of(Kind::kCommitted);
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_EQ(turns[1].event.start, turns[0].event.end);
}

TEST_F(EndpointerTest, TheTailNeverPassesWhatWasHeard) {
  config_.silence = absl::Milliseconds(100);
  Use(config_);
  Feed(10, kSpeech);
  Feed(4, kSilence);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.end, Windows(14));
}

TEST_F(EndpointerTest, MaximumTurnCommitsThoughSpeechGoesOnAndTheNextTurnStartsWithoutAGap) {
  config_.max_turn = absl::Seconds(1);
  config_.prefix_padding = absl::ZeroDuration();
  Use(config_);
  Feed(100, kSpeech);  // 3.2 s
  Feed(16, kSilence);
  const auto turns = Of(Kind::kCommitted);
  ASSERT_EQ(turns.size(), 4u);
  EXPECT_EQ(turns[0].event.reason, CommitReason::kMaxTurn);
  EXPECT_EQ(turns[2].event.reason, CommitReason::kMaxTurn);
  EXPECT_EQ(turns[3].event.reason, CommitReason::kSilence);
  EXPECT_EQ(turns[0].event.start, 0);
  for (int i = 1; i < 4; ++i) EXPECT_EQ(turns[i].event.start, turns[i - 1].event.end);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(turns[i].event.end - turns[i].event.start, Windows(32));
  EXPECT_EQ(Of(Kind::kSpeechStarted).size(), 4u);  // each turn has its own
  EXPECT_EQ(Of(Kind::kSpeechStopped).size(), 1u);  // speech stopped once
}

TEST_F(EndpointerTest, TheRestOfATurnThatMaximumTurnEndedIsSaidOverItsAnswerWheneverThatBegins) {
  config_.max_turn = absl::Seconds(1);
  constexpr int kRest = 8;  // less than interruption_min_duration
  for (int begins = 0; begins <= kRest; ++begins) {
    SCOPED_TRACE(begins);
    Use(config_);
    said_.clear();
    Feed(32, kSpeech);
    for (int i = 0; i < kRest; ++i) {
      if (i == begins) endpointer_.SetAnswerActive(true);
      Feed(1, kSpeech);
    }
    if (begins == kRest) endpointer_.SetAnswerActive(true);
    Feed(16, kSilence);
    const auto turns = Of(Kind::kCommitted);
    ASSERT_EQ(turns.size(), 2u);
    EXPECT_EQ(turns[1].event.start, turns[0].event.end);
    EXPECT_EQ(turns[1].event.speech, SamplesToDuration(Windows(kRest)));
  }
}

TEST_F(EndpointerTest, ATurnThatIsNoRestIsNotSaidOverAnAnswerThatBeginsWithinIt) {
  config_.max_turn = absl::Seconds(1);
  Use(config_);
  Feed(32, kSpeech);
  Feed(16, kSilence);
  Feed(4, kSpeech);
  endpointer_.SetAnswerActive(true);
  Feed(4, kSpeech);
  Feed(16, kSilence);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 2u);
  EXPECT_EQ(Of(Kind::kCommitted)[1].event.speech, absl::ZeroDuration());
}

TEST_F(EndpointerTest, NoEmptyTurnFollowsMaximumTurnWhenSpeechEndsThere) {
  config_.max_turn = absl::Seconds(1);
  Use(config_);
  Feed(32, kSpeech);
  Feed(100, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kSpeechStarted).size(), 1u);
}

TEST_F(EndpointerTest, ARestOfLessThanMinSpeechStartsNothing) {
  config_.max_turn = absl::Seconds(1);
  Use(config_);
  Feed(32 + 2, kSpeech);  // 64 of 96 ms
  Feed(100, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kSpeechStarted).size(), 1u);
}

TEST_F(EndpointerTest, ARestOfLessThanMinSpeechIsNoneWhereTheClientEndsTheTurn) {
  config_.max_turn = absl::Seconds(1);
  config_.mode = TurnMode::kManual;
  for (const int rest : {2, 3}) {
    Use(config_);
    said_.clear();
    endpointer_.ActivityStart(position_);
    Feed(32 + rest, kSpeech);
    Keep(endpointer_.ActivityEnd(position_));
    const auto turns = Of(Kind::kCommitted);
    ASSERT_EQ(turns.size(), 2u);
    EXPECT_TRUE(turns[0].event.has_speech);
    EXPECT_EQ(turns[1].event.has_speech, rest == 3);
    EXPECT_EQ(turns[1].event.start, turns[0].event.end);
  }
}

TEST_F(EndpointerTest, MaximumTurnInAPauseStopsSpeechToo) {
  config_.max_turn = absl::Seconds(1);
  config_.silence = absl::Seconds(5);
  Use(config_);
  Feed(20, kSpeech);
  Feed(12, kSilence);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.reason, CommitReason::kMaxTurn);
  EXPECT_EQ(Of(Kind::kSpeechStopped).size(), 1u);
}

TEST_F(EndpointerTest, ALowerMaximumHoldsForTheTurnThatIsOpen) {
  Feed(100, kSpeech);
  config_.max_turn = absl::Seconds(1);
  endpointer_.Configure(config_);
  Feed(1, kSpeech);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
}

TEST_F(EndpointerTest, AShorterSilenceHoldsForThePauseThatIsUnderWay) {
  Feed(20, kSpeech);
  Feed(8, kSilence);
  config_.silence = absl::Milliseconds(200);
  endpointer_.Configure(config_);
  Feed(1, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
}

TEST_F(EndpointerTest, AHigherThresholdHoldsFromTheNextWindow) {
  Feed(20, 0.6f);
  EXPECT_EQ(Of(Kind::kSpeechStarted).size(), 1u);
  config_.start_threshold = 0.9f;
  endpointer_.Configure(config_);
  Feed(16, 0.6f);  // below 0.75 now
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
  Feed(50, 0.8f);
  EXPECT_EQ(Of(Kind::kSpeechStarted).size(), 1u);
}

TEST_F(EndpointerTest, SpeechOverAnAnswerIsToldAtTheMinimumDurationAndAsItGrowsByHalf) {
  endpointer_.SetAnswerActive(true);
  Feed(15, kSpeech);  // 480 ms
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 0u);
  Feed(1, kSpeech);
  ASSERT_EQ(Of(Kind::kOverAnswer).size(), 1u);
  EXPECT_EQ(Of(Kind::kOverAnswer)[0].event.speech, absl::Milliseconds(512));
  Feed(7, kSpeech);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 1u);
  Feed(1, kSpeech);  // 24 windows
  ASSERT_EQ(Of(Kind::kOverAnswer).size(), 2u);
  EXPECT_EQ(Of(Kind::kOverAnswer)[1].event.end, Windows(24));
  endpointer_.SetAnswerActive(false);  // its words interrupted
  Feed(100, kSpeech);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 2u);
}

TEST_F(EndpointerTest, ATurnSaidOverTheAnswerSaysHowLongItWas) {
  endpointer_.SetAnswerActive(true);
  Feed(5, kSpeech);
  Feed(8, kSilence);
  Feed(3, kSpeech);
  Feed(16, kSilence);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 0u);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.speech, absl::Milliseconds(8 * 32));
}

TEST_F(EndpointerTest, AShortSoundThatTheAnswerDidNotOutlastIsStillOverIt) {
  for (const int after : {0, 3}) {  // windows of the sound after the answer's end
    endpointer_.SetAnswerActive(true);
    Feed(6, kSpeech);
    endpointer_.SetAnswerActive(false);
    Feed(after, kSpeech);
    Feed(16, kSilence);
    ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
    EXPECT_EQ(Of(Kind::kCommitted)[0].event.speech, absl::Milliseconds((6 + after) * 32));
    said_.clear();
  }
}

TEST_F(EndpointerTest, ALongerTurnThatTheAnswerDidNotOutlastIsNotOverIt) {
  endpointer_.SetAnswerActive(true);
  Feed(6, kSpeech);
  endpointer_.SetAnswerActive(false);
  Feed(10, kSpeech);
  Feed(16, kSilence);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.speech, absl::ZeroDuration());
}

TEST_F(EndpointerTest, ATurnThatBeganBeforeTheAnswerIsNotOverIt) {
  Feed(8, kSpeech);
  endpointer_.SetAnswerActive(true);
  Feed(8, kSpeech);
  Feed(16, kSilence);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.speech, absl::ZeroDuration());
}

TEST_F(EndpointerTest, SpeechInterruptsAcrossAPlosiveButNotAcrossAPause) {
  endpointer_.SetAnswerActive(true);
  Feed(8, kSpeech);
  Feed(8, kSilence);
  Feed(8, kSpeech);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 0u);
  Feed(3, kSilence);
  Feed(8, kSpeech);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 1u);
}

TEST_F(EndpointerTest, SpeechFromBeforeTheAnswerDoesNotCountTowardsItsInterruption) {
  Feed(40, kSpeech);
  endpointer_.SetAnswerActive(true);
  Feed(15, kSpeech);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 0u);
  Feed(1, kSpeech);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 1u);
}

TEST_F(EndpointerTest, NothingInterruptsWhereInterruptionIsDisabled) {
  config_.interruption_enabled = false;
  Use(config_);
  endpointer_.SetAnswerActive(true);
  Feed(200, kSpeech);
  Feed(16, kSilence);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 0u);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.speech, absl::ZeroDuration());
}

TEST_F(EndpointerTest, NothingInterruptsWithoutAnAnswer) {
  Feed(200, kSpeech);
  EXPECT_EQ(Of(Kind::kOverAnswer).size(), 0u);
}

TEST_F(EndpointerTest, EachAnswerCanBeInterrupted) {
  config_.interruption_min_duration = absl::ZeroDuration();
  Use(config_);
  for (int i = 0; i < 3; ++i) {
    endpointer_.SetAnswerActive(true);
    said_.clear();
    Feed(10, kSpeech);
    EXPECT_GE(Of(Kind::kOverAnswer).size(), 1u);
    Feed(20, kSilence);
    endpointer_.SetAnswerActive(false);
  }
}

TEST_F(EndpointerTest, InputCommitEndsTheOpenTurnNow) {
  Feed(10, kSilence);
  Feed(10, kSpeech);
  Keep(endpointer_.Commit(position_ + 100));
  const auto turns = Of(Kind::kCommitted);
  ASSERT_EQ(turns.size(), 1u);
  EXPECT_EQ(turns[0].event.reason, CommitReason::kInputCommit);
  EXPECT_EQ(turns[0].event.end, Windows(20) + 100);
  EXPECT_EQ(Of(Kind::kSpeechStopped).size(), 1u);
  Feed(50, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
}

TEST_F(EndpointerTest, InputCommitWithoutSpeechCommitsNoAudio) {
  Feed(100, kSilence);
  Keep(endpointer_.Commit(position_));
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.start, Of(Kind::kCommitted)[0].event.end);
}

TEST_F(EndpointerTest, InputCommitTakesAWordTooShortToStartATurn) {
  Feed(50, kSilence);
  Feed(2, kSpeech);
  Feed(50, kSilence);
  Keep(endpointer_.Commit(position_));
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.start, Windows(50) - ToSamples(absl::Milliseconds(300)));
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.end, Windows(102));
}

TEST_F(EndpointerTest, InputCommitTakesNoMoreThanTheLongestTurn) {
  config_.mode = TurnMode::kManual;
  config_.max_turn = absl::Seconds(1);
  Use(config_);
  Feed(100, kSilence);
  const int64_t needed = endpointer_.needed_from();
  Keep(endpointer_.Commit(position_));
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.start, position_ - ToSamples(absl::Milliseconds(1300)));
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.start, needed);
}

TEST_F(EndpointerTest, AudioThatStopsEndsTheOpenTurnAndNothingElse) {
  Keep(endpointer_.EndOpenTurn(CommitReason::kAudioStreamEnd, position_));
  EXPECT_TRUE(said_.empty());
  Feed(10, kSpeech);
  Keep(endpointer_.EndOpenTurn(CommitReason::kAudioIdle, position_));
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.reason, CommitReason::kAudioIdle);
}

TEST_F(EndpointerTest, ClearForgetsWhatWasSaidAndItsAudio) {
  Feed(20, kSpeech);
  endpointer_.Clear(position_);
  Feed(50, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 0u);
  endpointer_.Clear(position_);
  Feed(5, kSpeech);
  Feed(16, kSilence);
  ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
  EXPECT_EQ(Of(Kind::kCommitted)[0].event.start, Windows(70));  // the padding stops at the clearing
}

TEST_F(EndpointerTest, ManualModeHearsNothingByItself) {
  config_.mode = TurnMode::kManual;
  Use(config_);
  Feed(200, kSpeech);
  EXPECT_TRUE(said_.empty());
}

TEST_F(EndpointerTest, ManualModeCommitsFromStartToEndOfTheActivity) {
  config_.mode = TurnMode::kManual;
  Use(config_);
  Feed(100, kSilence);
  endpointer_.ActivityStart(position_);
  Feed(50, kSilence);
  Keep(endpointer_.ActivityEnd(position_ + 7));
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_EQ(said_[0].event.kind, Kind::kCommitted);
  EXPECT_EQ(said_[0].event.reason, CommitReason::kActivityEnd);
  EXPECT_EQ(said_[0].event.start, Windows(100) - ToSamples(absl::Milliseconds(300)));
  EXPECT_EQ(said_[0].event.end, Windows(150) + 7);
}

TEST_F(EndpointerTest, ManualModeCommitsEverythingSinceTheLastTurn) {
  config_.mode = TurnMode::kManual;
  Use(config_);
  Feed(100, kSilence);
  Keep(endpointer_.Commit(position_));
  Feed(10, kSilence);
  Keep(endpointer_.Commit(position_));
  const auto turns = Of(Kind::kCommitted);
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_EQ(turns[0].event.start, 0);
  EXPECT_EQ(turns[0].event.end, Windows(100));
  EXPECT_EQ(turns[1].event.start, Windows(100));
}

TEST_F(EndpointerTest, MaximumTurnHoldsForAnActivityThatGoesOn) {
  config_.mode = TurnMode::kManual;
  config_.max_turn = absl::Seconds(1);
  Use(config_);
  endpointer_.ActivityStart(position_);
  Feed(70, kSilence);
  Keep(endpointer_.ActivityEnd(position_));
  const auto turns = Of(Kind::kCommitted);
  ASSERT_EQ(turns.size(), 3u);
  EXPECT_EQ(turns[0].event.reason, CommitReason::kMaxTurn);
  EXPECT_EQ(turns[1].event.start, turns[0].event.end);
  EXPECT_EQ(turns[2].event.start, turns[1].event.end);
}

TEST_F(EndpointerTest, ATurnThatIsOpenSurvivesAChangeOfMode) {
  Feed(20, kSpeech);
  config_.mode = TurnMode::kManual;
  endpointer_.Configure(config_);
  Feed(100, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 0u);
  config_.mode = TurnMode::kVad;
  endpointer_.Configure(config_);
  Feed(15, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 0u);  // silence counts from the change
  Feed(1, kSilence);
  EXPECT_EQ(Of(Kind::kCommitted).size(), 1u);
}

TEST_F(EndpointerTest, WhatIsNeededCoversEveryTurnThatMayStillStart) {
  for (const int silence : {1, 5, 40}) {
    for (const int speech : {1, 2, 3, 30}) {
      Feed(silence, kSilence);
      for (int i = 0; i < speech; ++i) {
        const int64_t needed = endpointer_.needed_from();
        said_.clear();
        Feed(1, kSpeech);
        EXPECT_LE(needed, position_);
        const int64_t still_needed = endpointer_.needed_from();
        EXPECT_GE(still_needed, needed);
      }
      const int64_t needed = endpointer_.needed_from();
      said_.clear();
      Keep(endpointer_.Commit(position_));
      ASSERT_EQ(Of(Kind::kCommitted).size(), 1u);
      EXPECT_GE(Of(Kind::kCommitted)[0].event.start, needed);
    }
  }
}

}  // namespace
}  // namespace parley::streaming

// Answers begun at a pause: what is held, let out and dropped, and what the client sees of it (nothing but
// the time it saves). Six windows of silence are a pause, sixteen end the turn.
#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kPause = 6;
constexpr int kRemainingSilence = 10;  // of the silence that ends a turn

class SpeculationTest : public CallFixture {
 protected:
  SpeculationTest() { engine_.SetAnswerTokens(2); }
  // Speech and the pause at which an answer is begun; all of it is held.
  void Pause(int windows = 20) {
    Say(windows);
    BeSilent(kPause);
  }
  int started() const { return engine_.speculations(); }
};

TEST_F(SpeculationTest, AtThePauseTheTurnIsReadAndAnsweredAndNothingIsTold) {
  engine_.Hear("hello");
  Start();
  Say(20);
  BeSilent(kPause - 1);
  EXPECT_EQ(started(), 0);
  BeSilent(1);
  EXPECT_EQ(started(), 1);
  EXPECT_EQ(engine_.History(), "U: hello | A: t1.1 t1.2");
  BeSilent(kRemainingSilence - 1);
  EXPECT_THAT(lines_, ElementsAre("started 1/0"));
  EXPECT_EQ(last_epoch_, 0u);
  EXPECT_EQ(engine_.promotions(), 0);
}

TEST_F(SpeculationTest, ATurnThatEndsAtThePauseGetsAllThatIsHeldAtOnce) {
  engine_.Hear("hello");
  Start();
  Pause();
  BeSilent(kRemainingSilence - 1);
  News();
  pace_ = 0;  // the engine does no more
  BeSilent(1);
  EXPECT_THAT(lines_, ElementsAre("started 1/0", "stopped 1/0", "committed 1/0 silence",
                                  "transcript 1/0 hello", "response 1/1", "token 1/1 t1.1 ",
                                  "token 1/1 t1.2 ", "done 1/1 end_of_turn", "times 1/1"));
  EXPECT_EQ(engine_.utterances().size(), 1u);
  EXPECT_EQ(engine_.promotions(), 1);
  const auto* times = Last<TurnTimes>();
  EXPECT_EQ(times->speculation, SpeculationOutcome::kHit);
  EXPECT_EQ(times->speculations, 1);
  EXPECT_EQ(times->wasted_tokens, 0);
  EXPECT_EQ(times->end_decided - times->first_token, absl::Milliseconds(32 * kRemainingSilence));
  EXPECT_LE(times->speech_queued, times->encode_start);
}

TEST_F(SpeculationTest, WhatIsNotMadeYetWhenTheTurnEndsFollowsAsItIsMade) {
  for (const int done_before : {0, 1, 2, 3, 4}) {  // the mark, the speech, a token, a token
    SCOPED_TRACE(done_before);
    call_.reset();
    Run();
    engine_.Hear("hello");
    Start();
    next_sample_ = 0;
    pace_ = 0;
    Pause();
    Steps(done_before);
    News();
    BeSilent(kRemainingSilence);
    EXPECT_EQ(Last<TurnTimes>(), nullptr);
    RunUntilIdle();
    EXPECT_THAT(News(),
                ElementsAre("stopped 1/0", "committed 1/0 silence", "transcript 1/0 hello", "response 1/1",
                            "token 1/1 t1.1 ", "token 1/1 t1.2 ", "done 1/1 end_of_turn"));
    EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
    events_.clear();
    last_epoch_ = 0;
  }
}

TEST_F(SpeculationTest, SpeechThatGoesOnRewindsItAndTheNextPauseTriesAgain) {
  for (const char* words : {"what is", "what is the capital"}) engine_.Hear(words);
  Start();
  Pause(20);
  Say(1);
  EXPECT_EQ(engine_.History(), "");
  Say(19);
  BeSilent(kPause + kRemainingSilence);
  EXPECT_EQ(Count("transcript"), 1);
  EXPECT_EQ(Count("transcript 1/0 what is the capital"), 1);
  EXPECT_EQ(Count("token"), 2);
  EXPECT_EQ(engine_.History(), "U: what is the capital | A: t2.1 t2.2");
  const auto* times = Last<TurnTimes>();
  EXPECT_EQ(times->speculation, SpeculationOutcome::kHit);
  EXPECT_EQ(times->speculations, 2);
  EXPECT_EQ(times->wasted_tokens, 4 + 2);
}

TEST_F(SpeculationTest, SpeechThatGoesOnWhileItIsReadLeavesNothing) {
  pace_ = 0;
  Start();
  Pause();
  Steps(1);  // the mark
  Say(20);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "");
  EXPECT_THAT(News(), ElementsAre("started 1/0"));
}

TEST_F(SpeculationTest, AnAnswerUnderWayIsCancelledWhenSpeechGoesOn) {
  engine_.SetAnswerTokens(100);
  pace_ = 0;
  Start();
  Pause();
  Steps(5);
  pace_ = 1;
  Say(5);
  EXPECT_FALSE(engine_.busy());
  EXPECT_EQ(engine_.History(), "");
}

TEST_F(SpeculationTest, TheAudioIsWhatThePlainPathHandsOver) {
  for (const bool enabled : {true, false}) {
    config_.turn.speculation.enabled = enabled;
    call_.reset();
    Run();
    next_sample_ = 0;
    last_epoch_ = 0;
    Start();
    BeSilent(20);
    Turn(31);
  }
  EXPECT_EQ(started(), 1);
  ASSERT_EQ(engine_.utterances().size(), 2u);
  EXPECT_EQ(engine_.utterances()[0], engine_.utterances()[1]);
}

TEST_F(SpeculationTest, ItIsTriedAgainSoOftenAndThenThePlainWay) {
  config_.turn.speculation.max_retries = 1;
  Start();
  for (int i = 0; i < 3; ++i) Pause();
  EXPECT_EQ(started(), 2);
  BeSilent(kRemainingSilence);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kMiss);
  EXPECT_EQ(Last<TurnTimes>()->speculations, 2);
  EXPECT_EQ(engine_.utterances().size(), 3u);
  // The next turn has its own tries.
  Turn();
  EXPECT_EQ(started(), 3);
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
  EXPECT_EQ(Last<TurnTimes>()->wasted_tokens, 0);
}

TEST_F(SpeculationTest, SwitchedOffItDoesNothing) {
  config_.turn.speculation.enabled = false;
  Start();
  Pause();
  EXPECT_EQ(engine_.utterances().size(), 0u);
  BeSilent(kRemainingSilence);
  EXPECT_EQ(started(), 0);
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kNone);
}

TEST_F(SpeculationTest, InManualModeTheClientSaysWhenTheTurnEnds) {
  config_.turn.mode = TurnMode::kManual;
  Start();
  call_->Push(input::ActivityStart{}, 3);
  Pause();
  call_->Push(input::ActivityEnd{}, 4);
  RunUntilIdle();
  EXPECT_EQ(started(), 0);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(SpeculationTest, APauseNoShorterThanSilenceIsNone) {
  config_.turn.speculation.pause = absl::Milliseconds(500);
  Start();
  Turn();
  EXPECT_EQ(started(), 0);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(SpeculationTest, NoWordsAreNotAnsweredAndLeaveNothing) {
  engine_.Hear("");
  Start();
  Show(50);
  Turn();
  EXPECT_THAT(News(), ElementsAre("frame 1 encoded", "started 1/0", "stopped 1/0", "committed 1/0 silence",
                                  "transcript 1/0 "));
  EXPECT_EQ(engine_.History(), "U: [16]");
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
  engine_.Hear("hello");
  Turn();
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1));
  EXPECT_EQ(engine_.History(), "U: [16] hello | A: t1.1 t1.2");
}

// ---------------------------------------------------------------- frames

TEST_F(SpeculationTest, TheFrameThatWaitsAtThePauseIsInTheTurn) {
  pace_ = 0;
  Start();
  Say(20);
  Show(50);
  clock_.Advance(absl::Milliseconds(100));
  Show(150);
  BeSilent(kPause);
  RunUntilIdle();
  EXPECT_EQ(engine_.History().substr(0, 12), "U: [16] [16]");
  BeSilent(kRemainingSilence);
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1, 2));
}

TEST_F(SpeculationTest, AFrameAfterThePauseWaitsForTheNextTurn) {
  engine_.SetAnswerTokens(1);
  for (const char* words : {"one", "two"}) engine_.Hear(words);
  Start();
  Show(50);
  Pause();
  Show(150);
  EXPECT_EQ(engine_.History(), "U: [16] one | A: t1.1");
  BeSilent(kRemainingSilence);
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1));
  Turn();
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(2));
  EXPECT_EQ(engine_.History(), "U: [16] one | A: t1.1 | U: [16] two | A: t2.1");
}

TEST_F(SpeculationTest, WhenSpeechGoesOnTheFrameIsInThisTurn) {
  for (const char* words : {"one", "one and a half"}) engine_.Hear(words);
  Start();
  Show(50);
  Pause();
  Show(150);
  Say(20);
  BeSilent(kPause + kRemainingSilence);
  EXPECT_EQ(Count("frame 2 encoded"), 1);
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1, 2));
  EXPECT_EQ(engine_.History(), "U: [16] [16] one and a half | A: t2.1 t2.2");
}

TEST_F(SpeculationTest, AFrameLongAfterThePauseIsInTheTurnThatIsBegunAgainWithIt) {
  config_.turn.silence = absl::Milliseconds(1500);
  for (const char* words : {"look at", "look at"}) engine_.Hear(words);
  Start();
  Pause();
  BeSilent(15);  // 480 ms
  Show(50);
  EXPECT_EQ(Count("frame 1 encoded"), 1);
  EXPECT_EQ(engine_.History(), "U: [16]");
  BeSilent(1);
  EXPECT_EQ(engine_.History(), "U: [16] look at | A: t2.1 t2.2");
  BeSilent(30);
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1));
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
  EXPECT_EQ(Last<TurnTimes>()->speculations, 2);
}

TEST_F(SpeculationTest, FramesThatCannotWaitAndTriesThatAreUsedUpLeaveThePlainPath) {
  config_.turn.silence = absl::Milliseconds(3000);
  config_.turn.speculation.max_retries = 0;
  Start();
  Pause();
  BeSilent(20);
  Show(50);
  BeSilent(20);
  Show(150);
  BeSilent(60);
  EXPECT_EQ(started(), 1);
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1, 2));
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(SpeculationTest, AFrameWhoseTurnComesTooLateIsReportedAndTheCallGoesOn) {
  pace_ = 0;
  Start();
  Show(50);
  clock_.Advance(absl::Seconds(4));
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("frame 1 overloaded"));
  pace_ = -1;
  Show(50);  // the scene is looked at anew
  EXPECT_THAT(News(), ElementsAre("frame 2 encoded"));
}

// ---------------------------------------------------------------- what comes between the pause and the
// commit

TEST_F(SpeculationTest,
       TypedTextGoesFirstAndTheSpeechIsReadAfterIt) {  // and is begun again, in the same pause
  for (const char* words : {"dropped", "hello"}) engine_.Hear(words);
  Start();
  Pause();
  call_->Push(input::Text{"look"}, 2);
  RunUntilIdle();
  BeSilent(kRemainingSilence);
  EXPECT_EQ(Count("committed 2/0 text"), 1);
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
  EXPECT_EQ(engine_.History(), "U: look | A: t2.1 t2.2 | U: hello | A: t3.1 t3.2");
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
  EXPECT_EQ(Last<TurnTimes>()->speculations, 2);
  EXPECT_EQ(Count("interrupted"), 0);
}

TEST_F(SpeculationTest, ResponseCreateAnswersWithoutTheSpeech) {
  for (const char* words : {"dropped", "hello"}) engine_.Hear(words);
  Start();
  Show(50);
  Pause();
  call_->Push(input::CreateResponse{}, 9);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: [16] | A: t2.1 t2.2");
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1));
  BeSilent(kRemainingSilence);
  EXPECT_EQ(engine_.History(), "U: [16] | A: t2.1 t2.2 | U: hello | A: t3.1 t3.2");
  EXPECT_EQ(Count("error"), 0);
}

TEST_F(SpeculationTest, InputCommitTakesTheAudioUpToNow) {
  for (const char* words : {"dropped", "hello"}) engine_.Hear(words);
  Start();
  Pause();
  BeSilent(2);
  call_->Push(input::Commit{}, 9);
  RunUntilIdle();
  EXPECT_EQ(Count("committed 1/0 input_commit"), 1);
  EXPECT_EQ(engine_.History(), "U: hello | A: t2.1 t2.2");
  EXPECT_EQ(engine_.utterances()[1].size(), engine_.utterances()[0].size() + 2 * 512);
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kMiss);
  EXPECT_EQ(Last<TurnTimes>()->wasted_tokens, 4 + 2);
}

TEST_F(SpeculationTest, InputCommitOfTheVeryAudioIsAHit) {
  Start();
  Pause();
  call_->Push(input::Commit{}, 9);
  RunUntilIdle();
  EXPECT_EQ(Count("committed 1/0 input_commit"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(engine_.utterances().size(), 1u);
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
}

TEST_F(SpeculationTest, InputClearForgetsIt) {
  Start();
  Show(50);
  Pause();
  call_->Push(input::Clear{}, 9);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "");
  BeSilent(2 * kRemainingSilence);
  EXPECT_EQ(Count("committed"), 0);
  engine_.Hear("hello");
  Turn();
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, IsEmpty());
  EXPECT_EQ(engine_.History(), "U: hello | A: t2.1 t2.2");
  EXPECT_EQ(Last<TurnTimes>()->speculations, 1);
}

TEST_F(SpeculationTest, TheEndOfTheStreamCommitsTheAudioUpToNow) {
  Start();
  Pause();
  BeSilent(1);
  call_->Push(input::AudioStreamEnd{}, 9);
  RunUntilIdle();
  EXPECT_EQ(Count("committed 1/0 stream_end"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(engine_.utterances().size(), 2u);
}

TEST_F(SpeculationTest, AudioThatStopsComingAtThePauseIsCommittedByTime) {
  Start();
  Pause();
  BeSilent(1);
  for (int i = 0; i < 32; ++i) {
    call_->Tick();
    RunUntilIdle();
    clock_.Advance(absl::Milliseconds(100));
  }
  EXPECT_EQ(Count("committed 1/0 audio_idle"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(SpeculationTest, CloseAnswersWhatWasSaidAndEnds) {
  Start();
  Pause();
  BeSilent(1);
  call_->Push(input::Close{}, 0);
  RunUntilIdle();
  EXPECT_EQ(Count("committed 1/0 stream_end"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(lines_.back(), "ended");
  EXPECT_EQ(engine_.stats().conversations, 0);
}

TEST_F(SpeculationTest, AbortTellsNothingMore) {
  pace_ = 1;
  Start();
  Pause();
  News();
  call_->Abort();
  RunUntilIdle();
  EXPECT_THAT(News(), IsEmpty());
  EXPECT_EQ(engine_.stats().conversations, 0);
}

TEST_F(SpeculationTest, AnotherConfigurationDropsItAndTheSamePauseIsTriedAgainUnderIt) {
  for (const char* words : {"dropped", "hello"}) engine_.Hear(words);
  Start();
  Pause();
  config_.generation.max_tokens = 1;
  call_->Push(input::Update{config_}, 0);
  BeSilent(kRemainingSilence);
  EXPECT_EQ(engine_.last_generation().max_tokens, 1);
  EXPECT_EQ(engine_.History(), "U: hello | A: t2.1");
  EXPECT_EQ(Last<TurnTimes>()->speculations, 2);
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
}

TEST_F(SpeculationTest, ManualModeInAPauseLeavesTheTurnOpen) {
  Start();
  Pause();
  config_.turn.mode = TurnMode::kManual;
  call_->Push(input::Update{config_}, 0);
  BeSilent(20);
  EXPECT_EQ(engine_.History(), "");
  EXPECT_EQ(Count("committed"), 0);
  call_->Push(input::ActivityEnd{}, 4);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(SpeculationTest, ResponseCancelFindsNoAnswerWhileItIsHeld) {
  Start();
  Pause();
  call_->Push(input::CancelResponse{0}, 9);
  RunUntilIdle();
  BeSilent(kRemainingSilence);
  EXPECT_EQ(Count("warning unknown_response"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(SpeculationTest, AnAnswerLetOutCanBeCancelledAndInterrupted) {
  engine_.SetAnswerTokens(100);
  pace_ = 0;
  Start();
  Pause();
  Steps(5);  // three tokens
  BeSilent(kRemainingSilence);
  EXPECT_EQ(Count("token 1/1"), 3);
  call_->Push(input::CancelResponse{1}, 9);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 cancelled"), 1);
  EXPECT_EQ(engine_.History(), "U: speech of 26 windows | A: t1.1 t1.2 t1.3");
  Pause();
  Steps(5);
  BeSilent(kRemainingSilence);
  Say(54);
  EXPECT_EQ(Count("interrupted 2/2 kept 3"), 1);
  RunUntilIdle();
  EXPECT_EQ(Count("done 2/2 interrupted"), 1);
}

TEST_F(SpeculationTest, ACutOfAnEarlierAnswerDropsItAndTheTurnIsReadAfterTheCut) {
  engine_.SetAnswerTokens(3);
  for (const char* words : {"one", "dropped", "two"}) engine_.Hear(words);
  Start();
  Turn();
  call_->Push(input::AckPlayback{1, 2}, ++seq_);  // is being heard
  RunUntilIdle();
  Pause(54);  // interrupts, and pauses
  EXPECT_EQ(Count("interrupted 1/1 kept 2"), 1);
  EXPECT_EQ(started(), 2);
  call_->Push(input::AckPlayback{1, 1}, ++seq_);  // sent before the client knew: it heard less
  RunUntilIdle();
  BeSilent(kRemainingSilence);
  EXPECT_EQ(engine_.History(), "U: one | A: t1.1 | U: two | A: t3.1 t3.2 t3.3");
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
  EXPECT_EQ(Last<TurnTimes>()->speculations, 2);
}

TEST_F(SpeculationTest, WhileAnAnswerIsMadeNoneIsBegun) {
  config_.turn.interruption_enabled = false;
  pace_ = 0;
  Start();
  Turn();
  Turn();
  EXPECT_EQ(started(), 1);
  RunUntilIdle();
  EXPECT_EQ(Count("done"), 2);
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kNone);
}

TEST_F(SpeculationTest, APauseThatGoesOnIsTakenUpWhenTheAnswerBeforeIsDone) {
  config_.turn.interruption_enabled = false;
  pace_ = 0;
  Start();
  Turn();
  Pause();
  EXPECT_EQ(started(), 1);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  pace_ = -1;
  BeSilent(1);
  EXPECT_EQ(started(), 2);
  BeSilent(kRemainingSilence - 1);
  EXPECT_EQ(Count("done 2/2 end_of_turn"), 1);
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kHit);
}

TEST_F(SpeculationTest, SpeechThatGoesOnAfterAPauseIsTakenUpLateIsDropped) {
  Start();
  Pause();
  call_->Push(input::Text{"look"}, 2);  // dropped, and begun again
  RunUntilIdle();
  BeSilent(1);
  EXPECT_EQ(started(), 2);
  Say(1);
  EXPECT_EQ(engine_.History(), "U: look | A: t2.1 t2.2");
}

// ---------------------------------------------------------------- faults

TEST_F(SpeculationTest, AFullContextIsSaidWhenTheTurnEndsAndNotBefore) {
  Start();
  Say(20);
  engine_.RefuseNext(absl::ResourceExhaustedError("full"), 2);  // at the pause, and for the turn
  BeSilent(kPause);
  EXPECT_THAT(News(), ElementsAre("started 1/0"));
  BeSilent(kRemainingSilence);
  EXPECT_THAT(News(),
              ElementsAre("stopped 1/0", "committed 1/0 silence", "response 1/1", "done 1/1 context_full"));
  Turn();
  EXPECT_EQ(Count("done 2/2 end_of_turn"), 1);
}

TEST_F(SpeculationTest, WhereThereIsNoRoomForItTheTurnIsReadThePlainWay) {
  Start();
  Say(20);
  engine_.RefuseNext(absl::ResourceExhaustedError("no page is free"));  // but for a turn one is freed
  BeSilent(kPause + kRemainingSilence);
  EXPECT_EQ(started(), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(engine_.History(), "U: speech of 26 windows | A: t1.1 t1.2");
  EXPECT_EQ(Last<TurnTimes>()->speculation, SpeculationOutcome::kMiss);
  Turn();  // the next turn tries again
  EXPECT_EQ(started(), 2);
}

TEST_F(SpeculationTest, AFullContextIsForgottenWhenSpeechGoesOn) {
  Start();
  Say(20);
  engine_.RefuseNext(absl::ResourceExhaustedError("full"));
  BeSilent(kPause);
  Say(10);
  BeSilent(kPause + kRemainingSilence);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(SpeculationTest, AnEngineThatFailsToReadIsToldAtOnce) {
  pace_ = 0;
  Start();
  Pause();
  Steps(1);
  engine_.FailNext(absl::InternalError("ears"));
  RunUntilIdle();
  EXPECT_EQ(lines_.back(), "fatal engine_failed seq 0");
  EXPECT_EQ(Count("committed"), 0);
  EXPECT_EQ(engine_.stats().conversations, 0);
}

TEST_F(SpeculationTest, AnEngineThatFailsToAnswerIsToldAtOnce) {
  pace_ = 0;
  Start();
  Pause();
  Steps(3);
  engine_.FailNext(absl::InternalError("device"));
  RunUntilIdle();
  EXPECT_EQ(lines_.back(), "fatal engine_failed seq 0");
  EXPECT_EQ(Count("token"), 0);
}

}  // namespace
}  // namespace parley::streaming

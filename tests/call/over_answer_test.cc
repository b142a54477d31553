// Sound over an answer that may be no turn: what is too short, what has no words, and what interrupts.
#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;

class OverAnswerTest : public CallFixture {
 protected:
  // A typed question, and the engine has made `tokens` of its answer.
  void AnswerUpTo(int tokens, int of = 100) {
    engine_.SetAnswerTokens(of);
    pace_ = 0;
    Start();
    call_->Push(input::Text{"question"}, ++seq_);
    Steps(1 + tokens);
    News();
  }
};

TEST_F(OverAnswerTest, ASoundShorterThanTheMinimumDurationIsNoTurnAndTheAnswerGoesOn) {
  AnswerUpTo(3, 6);
  const uint64_t epoch = last_epoch_;
  Say(6);
  BeSilent(16);
  EXPECT_THAT(News(), ElementsAre("started 2/0", "stopped 2/0", "dismissed 2/0 too_short"));
  RunUntilIdle();
  EXPECT_THAT(News(),
              ElementsAre("token 1/1 t1.4 ", "token 1/1 t1.5 ", "token 1/1 t1.6 ", "done 1/1 end_of_turn"));
  EXPECT_EQ(last_epoch_, epoch);
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3 t1.4 t1.5 t1.6");
  EXPECT_TRUE(engine_.asides().empty());
}

TEST_F(OverAnswerTest, AShortSoundOverAnAnswerThatIsBeingHeardIsNoTurnEither) {
  AnswerUpTo(6, 6);
  pace_ = -1;
  RunUntilIdle();
  call_->Push(input::AckPlayback{1, 2}, ++seq_);
  News();
  Say(6);
  BeSilent(16);
  EXPECT_THAT(News(), ElementsAre("started 2/0", "stopped 2/0", "dismissed 2/0 too_short"));
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3 t1.4 t1.5 t1.6");
  Turn(20);
  EXPECT_EQ(Count("interrupted 1/1 kept 2"), 1);
}

TEST_F(OverAnswerTest, AShortSoundIsNoTurnThoughTheAnswerEndsBeforeItsSilenceDoes) {
  AnswerUpTo(3, 6);
  const uint64_t epoch = last_epoch_;
  Say(6);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  News();
  BeSilent(16);
  EXPECT_THAT(News(), ElementsAre("stopped 2/0", "dismissed 2/0 too_short"));
  EXPECT_EQ(last_epoch_, epoch);
}

TEST_F(OverAnswerTest, AQuestionThatBeginsBeforeTheAnswersEndIsATurn) {
  AnswerUpTo(3, 6);
  Say(6);
  RunUntilIdle();
  News();
  Say(20);
  BeSilent(16);
  EXPECT_EQ(Count("committed 2/0 silence"), 1);
}

TEST_F(OverAnswerTest, ALongerSoundWithoutWordsPausesTheAnswerWhichThenGoesOnWhereItWas) {
  engine_.HearAside("");
  AnswerUpTo(3, 6);
  const uint64_t epoch = last_epoch_;
  Say(16);
  EXPECT_THAT(News(), ElementsAre("started 2/0", "paused 1/1"));
  Steps(4);  // the engine makes the rest
  Say(2);
  EXPECT_THAT(News(), ElementsAre());
  BeSilent(16);
  EXPECT_THAT(News(), ElementsAre("stopped 2/0", "dismissed 2/0 no_words", "resumed 1/1", "token 1/1 t1.4 ",
                                  "token 1/1 t1.5 ", "token 1/1 t1.6 ", "done 1/1 end_of_turn"));
  EXPECT_EQ(last_epoch_, epoch);
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3 t1.4 t1.5 t1.6");
  // Parts of so short a sound say nothing of it.
  EXPECT_THAT(engine_.asides(), ElementsAre(24u * 512));
}

// The user talks over the answer for longer than a turn may be, and the rest of it is short: whenever the
// engine finds out that the first part has words.
TEST_F(OverAnswerTest, AShortRestOfATurnThatItsLimitEndedIsNoTurn) {
  config_.turn.max_turn = absl::Seconds(1);
  engine_.HoldAsides();
  constexpr int kRest = 8;
  for (int decided_after = 0; decided_after <= kRest + 16; ++decided_after) {
    SCOPED_TRACE(decided_after);
    next_sample_ = 0;
    last_epoch_ = 0;
    lines_.clear();
    told_ = 0;
    AnswerUpTo(3);
    Say(32);
    for (int i = 0; i < kRest + 16; ++i) {
      if (i == decided_after) engine_.WriteAside();
      Chunk(i < kRest ? 0.5f : 0);
    }
    while (engine_.WriteAside()) {
    }
    RunUntilIdle();
    EXPECT_EQ(Count("interrupted 1/1"), 1);
    EXPECT_EQ(Count("committed 2/0 max_turn"), 1);
    EXPECT_EQ(Count("dismissed 3/0 too_short"), 1);
    EXPECT_EQ(Count("committed"), 2);  // the typed question and the first part
    EXPECT_EQ(Count("done 2/2 end_of_turn"), 1);
  }
}

TEST_F(OverAnswerTest, OfALongSoundWhatThereIsOfItIsAskedForItsWords) {
  engine_.HearAside("");
  AnswerUpTo(3);
  Say(54);
  BeSilent(16);
  EXPECT_THAT(engine_.asides(), ElementsAre(54u * 512, 60u * 512));
}

TEST_F(OverAnswerTest, WordsOfAShortSoundThatTheTranscriberIsNotSureOfAreNone) {
  engine_.SetAsideLogProbability(-1.3);
  AnswerUpTo(3, 4);
  Say(16);
  BeSilent(16);
  EXPECT_EQ(Count("dismissed 2/0 no_words"), 1);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(OverAnswerTest, OfALongSoundAnyWordsCount) {
  engine_.SetAsideLogProbability(-1.3);
  AnswerUpTo(3);
  Say(40);
  EXPECT_EQ(Count("paused 1/1"), 1);
  BeSilent(16);
  EXPECT_EQ(Count("interrupted 1/1 kept 3"), 1);
}

TEST_F(OverAnswerTest, WordsThatComeLateInTheSoundInterrupt) {
  engine_.HearAside("");
  AnswerUpTo(3);
  Say(54);
  EXPECT_EQ(Count("interrupted"), 0);
  Say(27);
  EXPECT_THAT(News(), ElementsAre("started 2/0", "paused 1/1", "interrupted 1/1 kept 3"));
  RunUntilIdle();
  engine_.SetAnswerTokens(1);
  engine_.Hear("mmm no stop");
  pace_ = -1;
  BeSilent(16);
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3 | U: mmm no stop | A: t2.1");
}

TEST_F(OverAnswerTest, WhatTheEngineMadeWhileItWasAskedIsNotSentWhenTheWordsInterrupt) {
  engine_.HoldAsides();
  AnswerUpTo(3, 6);
  Say(54);
  Steps(4);  // done, and held
  EXPECT_THAT(News(), ElementsAre("started 2/0", "paused 1/1"));
  engine_.WriteAside();
  Run();
  EXPECT_THAT(News(), ElementsAre("interrupted 1/1 kept 3", "done 1/1 interrupted"));
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3");
}

TEST_F(OverAnswerTest, ATurnThatIsOverBeforeItsWordsAreKnownInterruptsWhenTheyAre) {
  engine_.HoldAsides();
  AnswerUpTo(3);
  Turn(16);
  EXPECT_EQ(Count("interrupted") + Count("committed 2") + Count("dismissed"), 0);
  while (engine_.WriteAside()) {
  }
  engine_.SetAnswerTokens(1);
  engine_.Hear("stop");
  RunUntilIdle();
  EXPECT_EQ(Count("interrupted 1/1 kept 3"), 1);
  EXPECT_EQ(Count("committed 2/0 silence"), 1);
  EXPECT_EQ(Count("done 2/2 end_of_turn"), 1);
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3 | U: stop | A: t2.1");
}

TEST_F(OverAnswerTest, SeveralShortWordsTogetherAreAskedForTheirWords) {
  engine_.SetAnswerTokens(1);
  AnswerUpTo(3);
  for (int word = 0; word < 3; ++word) {  // "no. stop. wait."
    Say(6);
    BeSilent(6);
  }
  EXPECT_EQ(Count("paused"), 0);
  BeSilent(10);
  EXPECT_EQ(Count("paused 1/1"), 1);
  EXPECT_EQ(Count("interrupted 1/1 kept 3"), 1);
  EXPECT_EQ(Count("dismissed"), 0);
}

TEST_F(OverAnswerTest, WhatCannotBeTranscribedCountsAsWords) {
  engine_.FailAsides(absl::InternalError("lost"));
  AnswerUpTo(3);
  Turn(16);
  EXPECT_EQ(Count("interrupted 1/1 kept 3"), 1);
  EXPECT_EQ(Count("fatal"), 0);
}

TEST_F(OverAnswerTest, AnAnswerThatIsOwedWaitsForTheWordsToo) {
  engine_.HoldAsides();
  engine_.HearAside("");
  engine_.HearAside("");
  engine_.SetAnswerTokens(2);
  pace_ = 0;
  Start();
  Turn();
  News();
  Say(16);
  EXPECT_THAT(News(), ElementsAre("started 2/0", "paused 1/0"));
  RunUntilIdle();  // read and answered; nothing of the answer goes out
  EXPECT_EQ(Count("token"), 0);
  BeSilent(16);
  while (engine_.WriteAside()) {
  }
  RunUntilIdle();
  EXPECT_EQ(Count("dismissed 2/0 no_words"), 1);
  EXPECT_EQ(Count("token 1/1"), 2);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(OverAnswerTest, TextWhileItIsAskedInterruptsAtOnce) {
  engine_.HoldAsides();
  AnswerUpTo(3);
  Say(16);
  engine_.SetAnswerTokens(1);
  call_->Push(input::Text{"stop"}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(Count("interrupted 1/1 kept 3"), 1);
  EXPECT_EQ(Count("done 2/2 end_of_turn") + Count("done 3/2 end_of_turn"), 1);
  while (engine_.WriteAside()) {
  }
  RunUntilIdle();
  EXPECT_EQ(Count("interrupted"), 1);
}

TEST_F(OverAnswerTest, ACancelledAnswerIsNotResumed) {
  engine_.HoldAsides();
  AnswerUpTo(3, 6);
  Say(16);
  Steps(4);
  call_->Push(input::CancelResponse{1}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 cancelled"), 1);
  EXPECT_EQ(Count("token 1/1"), 3);
  while (engine_.WriteAside()) {
  }
  BeSilent(16);
  RunUntilIdle();
  EXPECT_EQ(Count("interrupted"), 0);
  EXPECT_EQ(Count("committed 2/0 silence"), 1);
}

TEST_F(OverAnswerTest, InputClearLetsTheAnswerGoOn) {
  engine_.HoldAsides();
  AnswerUpTo(3, 4);
  Say(16);
  call_->Push(input::Clear{}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(Count("dismissed 2/0 cleared"), 1);
  EXPECT_EQ(Count("resumed 1/1"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(OverAnswerTest, InputCommitMakesItATurnWhateverItsWords) {
  engine_.HoldAsides();
  engine_.HearAside("");
  AnswerUpTo(3);
  Say(16);
  engine_.SetAnswerTokens(1);
  call_->Push(input::Commit{}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(Count("interrupted 1/1 kept 3"), 1);
  EXPECT_EQ(Count("committed 2/0 input_commit"), 1);
}

TEST_F(OverAnswerTest, InterruptionThatIsSwitchedOffMeanwhileLetsTheAnswerGoOn) {
  engine_.HoldAsides();
  AnswerUpTo(3, 4);
  Say(16);
  config_.turn.interruption_enabled = false;
  call_->Push(input::Update{config_}, 0);
  RunUntilIdle();
  EXPECT_EQ(Count("resumed 1/1"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(Count("interrupted"), 0);
  pace_ = -1;
  BeSilent(16);
  EXPECT_EQ(Count("committed 2/0 silence"), 1);
}

TEST_F(OverAnswerTest, CloseWaitsForTheWords) {
  engine_.HoldAsides();
  AnswerUpTo(3);
  Say(16);
  call_->Push(input::Close{}, 0);
  RunUntilIdle();
  EXPECT_EQ(Count("ended"), 0);
  while (engine_.WriteAside()) {
  }
  RunUntilIdle();
  EXPECT_EQ(Count("interrupted 1/1 kept 3"), 1);
  EXPECT_EQ(Count("committed 2/0 stream_end"), 1);
  EXPECT_EQ(lines_.back(), "ended");
}

}  // namespace
}  // namespace parley::streaming

// The user talks over an answer, at every phase of it.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;

class InterruptionTest : public CallFixture {
 protected:
  // Windows of sound after which it is asked for its words while it goes on.
  static constexpr int kWords = 54;

  // A typed question, and the engine has made `tokens` of its answer.
  void AnswerUpTo(int tokens) {
    pace_ = 0;
    Start();
    call_->Push(input::Text{"question"}, ++seq_);
    Steps(1 + tokens);
    News();
  }
};

TEST_F(InterruptionTest, WordsOverAnAnswerStopItAndHistoryKeepsWhatWasSent) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(3);
  Say(kWords);
  EXPECT_THAT(News(), ElementsAre("started 2/0", "paused 1/1", "interrupted 1/1 kept 3"));
  EXPECT_EQ(Last<Interrupted>()->speech, absl::Milliseconds(kWords * 32));
  pace_ = -1;
  Say(1);
  EXPECT_THAT(News(), ElementsAre("done 1/1 interrupted"));
  engine_.Hear("no, wait");
  engine_.SetAnswerTokens(1);
  BeSilent(16);
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3 | U: no, wait | A: t2.1");
}

TEST_F(InterruptionTest, TokensMadeButNotYetToldAreNeverTold) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(3);
  Say(kWords - 1);
  engine_.Step();  // made; the call has not run since
  engine_.Step();
  call_->Push(input::Audio{Pcm(0.5f), next_sample_, kNotKnown}, ++seq_);
  next_sample_ += kChunk;
  RunUntilIdle();
  const auto interrupted = std::find(lines_.begin(), lines_.end(), "interrupted 1/1 kept 3");
  ASSERT_NE(interrupted, lines_.end());
  for (auto line = interrupted; line != lines_.end(); ++line) EXPECT_NE(line->substr(0, 9), "token 1/1");
}

TEST_F(InterruptionTest, BeforeTheFirstTokenNothingIsKeptAndTheUserGoesOn) {
  engine_.Hear("what is");
  engine_.Hear("the time");
  pace_ = 0;
  Start();
  Turn();
  Steps(2);  // read; the answer is ordered, and no token of it made
  EXPECT_EQ(Count("response 1/1"), 1);
  Say(kWords);
  EXPECT_EQ(Count("interrupted 1/1 kept 0"), 1);
  engine_.SetAnswerTokens(1);
  BeSilent(16);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: what is the time | A: t2.1");
}

TEST_F(InterruptionTest, WhileTheTurnIsReadItIsNotAnsweredAndTheUserGoesOn) {
  engine_.Hear("what is");
  engine_.Hear("the time");
  engine_.SetAnswerTokens(1);
  pace_ = 0;
  Start();
  Turn();
  Say(kWords);
  EXPECT_EQ(Count("interrupted 1/0 kept 0"), 1);
  BeSilent(16);
  RunUntilIdle();
  EXPECT_EQ(Count("response"), 1);
  EXPECT_EQ(Count("done 2/1 end_of_turn"), 1);
  EXPECT_EQ(engine_.History(), "U: what is the time | A: t1.1");
  EXPECT_EQ(Count("times"), 2);
}

TEST_F(InterruptionTest, AfterGenerationSpeechInterruptsWhatIsStillBeingHeard) {
  engine_.SetAnswerTokens(6);
  AnswerUpTo(6);
  RunUntilIdle();
  call_->Push(input::AckPlayback{1, 2}, ++seq_);
  pace_ = -1;
  Say(kWords);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(Count("interrupted 1/1 kept 2"), 1);
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2");
}

TEST_F(InterruptionTest, AnAnswerHeardToItsEndIsNotInterrupted) {
  AnswerUpTo(5);
  RunUntilIdle();
  call_->Push(input::AckPlayback{1, 5}, ++seq_);
  Say(40);
  EXPECT_EQ(Count("interrupted"), 0);
}

TEST_F(InterruptionTest, AFinishedAnswerIsNotInterruptedWhereTheClientAcknowledgesNothing) {
  AnswerUpTo(5);
  RunUntilIdle();
  Say(40);
  EXPECT_EQ(Count("interrupted"), 0);
}

TEST_F(InterruptionTest, HistoryIsCutToWhatTheClientHeard) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(10);
  call_->Push(input::AckPlayback{1, 4}, ++seq_);
  Say(kWords);
  EXPECT_EQ(Count("interrupted 1/1 kept 4"), 1);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3 t1.4");
}

TEST_F(InterruptionTest, AnAckOfMoreThanWasSentCountsAsAll) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(3);
  call_->Push(input::AckPlayback{1, 1'000'000}, ++seq_);
  Say(kWords);
  EXPECT_EQ(Count("interrupted 1/1 kept 3"), 1);
}

TEST_F(InterruptionTest, AnAckNeverTakesBackWhatWasHeard) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(5);
  call_->Push(input::AckPlayback{1, 4}, ++seq_);
  call_->Push(input::AckPlayback{1, -7}, ++seq_);
  Say(kWords);
  EXPECT_EQ(Count("interrupted 1/1 kept 4"), 1);
}

TEST_F(InterruptionTest, AnAckThatComesAfterTheInterruptionCutsFurther) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(5);
  Say(kWords);
  EXPECT_EQ(Count("interrupted 1/1 kept 5"), 1);
  RunUntilIdle();
  call_->Push(input::AckPlayback{1, 2}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2");
}

TEST_F(InterruptionTest, AnAckOfAnUnknownAnswerIsWarnedOf) {
  Start();
  call_->Push(input::AckPlayback{7, 2}, ++seq_);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("warning unknown_response"));
}

TEST_F(InterruptionTest, DisabledInterruptionLetsTheAnswerEndAndThenAnswersWhatWasSaid) {
  config_.turn.interruption_enabled = false;
  engine_.SetAnswerTokens(6);
  AnswerUpTo(2);
  Turn();
  EXPECT_THAT(News(), ElementsAre("started 2/0", "stopped 2/0"));
  RunUntilIdle();
  EXPECT_EQ(Count("token 1/1"), 6);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(Count("done 2/2 end_of_turn"), 1);
  // No token of the first answer comes after the epoch of the second turn.
  uint64_t second = 0;
  for (const CallEvent& event : events_) {
    if (std::holds_alternative<TurnCommitted>(event.payload) && event.turn_id == 2) second = event.epoch;
    if (event.response_id == 1) {
      EXPECT_EQ(second, 0u);
    }
  }
}

TEST_F(InterruptionTest, WordsThatOutlastTheAnswerAreATurnOfTheirOwn) {
  engine_.SetAnswerTokens(4);
  AnswerUpTo(1);
  Say(8);
  RunUntilIdle();  // the answer ends
  Say(10);
  BeSilent(16);
  RunUntilIdle();
  EXPECT_EQ(Count("interrupted"), 0);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(Count("done 2/2 end_of_turn"), 1);
}

TEST_F(InterruptionTest, TypedTextInterruptsEvenWhereSpeechMayNot) {
  config_.turn.interruption_enabled = false;
  engine_.SetAnswerTokens(100);
  AnswerUpTo(3);
  engine_.SetAnswerTokens(1);
  call_->Push(input::Text{"stop"}, ++seq_);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("interrupted 1/1 kept 3", "done 1/1 interrupted", "committed 2/0 text",
                                  "response 2/2", "token 2/2 t2.1 ", "done 2/2 end_of_turn"));
}

TEST_F(InterruptionTest, TheUsersActivityInterruptsAtOnce) {
  config_.turn.mode = TurnMode::kManual;
  engine_.SetAnswerTokens(100);
  AnswerUpTo(3);
  call_->Push(input::ActivityStart{}, ++seq_);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("interrupted 1/1 kept 3", "done 1/1 interrupted"));
}

TEST_F(InterruptionTest, CancelStopsTheAnswerAndNothingOfItFollows) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(3);
  engine_.Step();  // a token that the call has not seen
  call_->Push(input::CancelResponse{0}, ++seq_);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("token 1/1 t1.4 ", "done 1/1 cancelled"));
  EXPECT_EQ(engine_.History(), "U: question | A: t1.1 t1.2 t1.3 t1.4");
}

TEST_F(InterruptionTest, CancelByNumberAndCancelTwice) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(3);
  call_->Push(input::CancelResponse{7}, ++seq_);
  call_->Push(input::CancelResponse{1}, ++seq_);
  call_->Push(input::CancelResponse{1}, ++seq_);
  RunUntilIdle();
  call_->Push(input::CancelResponse{0}, ++seq_);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("warning unknown_response", "warning unknown_response",
                                  "done 1/1 cancelled", "warning unknown_response"));
}

TEST_F(InterruptionTest, CancelBeforeTheAnswerBegan) {
  pace_ = 0;
  Start();
  call_->Push(input::Text{"question"}, ++seq_);
  Run();
  call_->Push(input::CancelResponse{0}, ++seq_);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("committed 1/0 text", "response 1/1", "done 1/1 cancelled"));
  EXPECT_EQ(engine_.History(), "U: question");
}

TEST_F(InterruptionTest, AnInterruptionRaisesTheEpochOnceAndLaterEventsCarryIt) {
  engine_.SetAnswerTokens(100);
  AnswerUpTo(3);
  EXPECT_EQ(last_epoch_, 1u);
  Say(kWords);
  RunUntilIdle();
  EXPECT_EQ(last_epoch_, 2u);
}

TEST_F(InterruptionTest, EveryAnswerThatStartsIsDoneExactlyOnce) {
  engine_.SetAnswerTokens(20);
  pace_ = 1;
  Start();
  for (int i = 0; i < 10; ++i) {
    Turn(17);
    call_->Push(input::Text{"and?"}, ++seq_);
    Pass();
  }
  RunUntilIdle();
  EXPECT_EQ(Count("response"), Count("done"));
}

// Late output of an interrupted answer is never told, whatever the order in which client, call and engine
// run.
class BargeInProperty : public CallFixture, public testing::WithParamInterface<int> {};

TEST_P(BargeInProperty, NoTokenComesAfterItsAnswerEndedOrItsEpochPassed) {
  std::mt19937 random(GetParam());
  auto chance = [&random](int of) { return random() % of == 0; };
  engine_.SetAnswerTokens(static_cast<int>(random() % 40));
  config_.turn.interruption_enabled = !chance(4);
  config_.turn.interruption_min_duration = absl::Milliseconds(random() % 600);
  config_.turn.silence = absl::Milliseconds(100 + random() % 400);
  config_.turn.max_turn = absl::Seconds(1 + random() % 5);
  limits_.max_audio_backlog_ms = 1000;
  if (chance(2)) engine_.HoldAsides();
  for (int i = 0; i < 200; ++i) engine_.HearAside(chance(2) ? "" : "words");
  Start();
  bool loud = false;
  for (int step = 0; step < 1500; ++step) {
    switch (random() % 24) {
      case 0:
        loud = !loud;
        break;
      case 1:
        call_->Push(input::Text{"text"}, ++seq_);
        break;
      case 2:
        if (chance(3)) call_->Push(input::CancelResponse{random() % 4}, ++seq_);
        break;
      case 3:
        call_->Push(input::AckPlayback{random() % 6, static_cast<int>(random() % 40)}, ++seq_);
        break;
      case 4:
        if (chance(4)) call_->Push(input::Commit{}, ++seq_);
        break;
      case 5:
        if (chance(4)) call_->Push(input::Clear{}, ++seq_);
        break;
      case 6:
        if (chance(4)) call_->Push(input::AudioStreamEnd{}, ++seq_);
        break;
      case 7:
        if (chance(4)) call_->Push(input::CreateResponse{}, ++seq_);
        engine_.WriteAside();
        break;
      case 8:
        call_->Push(input::Frame{TestPng(random() % 256), ++last_frame_, 0, kNotKnown}, ++seq_);
        break;
      case 9:
        call_->Tick();
        break;
      default:
        call_->Push(input::Audio{Pcm(loud ? 0.5f : 0.0f), next_sample_, kNotKnown}, ++seq_);
        next_sample_ += kChunk;
        clock_.Advance(absl::Milliseconds(32));
    }
    if (!chance(3)) Run();
    for (int work = random() % 3; work > 0; --work) engine_.Step();
  }
  call_->Push(input::Close{}, 0);
  RunUntilIdle();
  while (engine_.WriteAside()) RunUntilIdle();

  std::set<uint64_t> started;
  std::set<uint64_t> over;
  std::set<uint64_t> done;
  uint64_t epoch = 0;
  std::map<uint64_t, uint64_t> epoch_of;
  bool paused = false;
  std::map<uint64_t, int> tokens_of;
  for (const CallEvent& event : events_) {
    ASSERT_GE(event.epoch, epoch);
    epoch = event.epoch;
    const uint64_t id = event.response_id;
    if (std::holds_alternative<ResponseStarted>(event.payload)) {
      ASSERT_TRUE(started.insert(id).second);
      epoch_of[id] = event.epoch;
    } else if (const auto* token = std::get_if<TokenDelta>(&event.payload)) {
      ASSERT_TRUE(started.contains(id));
      ASSERT_FALSE(paused) << "a token of answer " << id << " while it is paused";
      ASSERT_FALSE(over.contains(id)) << "a token of answer " << id << " after it was over";
      ASSERT_EQ(event.epoch, epoch_of[id]) << "a token of an older epoch";
      ASSERT_EQ(token->tokens, ++tokens_of[id]);
    } else if (std::holds_alternative<ResponsePaused>(event.payload)) {
      ASSERT_FALSE(std::exchange(paused, true));
    } else if (std::holds_alternative<ResponseResumed>(event.payload)) {
      ASSERT_TRUE(std::exchange(paused, false));
    } else if (const auto* interrupted = std::get_if<Interrupted>(&event.payload)) {
      paused = false;
      ASSERT_LE(interrupted->tokens_kept, tokens_of[id]);
      over.insert(id);
    } else if (std::holds_alternative<ResponseDone>(event.payload)) {
      over.insert(id);
      ASSERT_TRUE(started.contains(id));
      ASSERT_TRUE(done.insert(id).second);
    }
  }
  EXPECT_EQ(started, done);
  EXPECT_EQ(lines_.back(), "ended");
  EXPECT_EQ(Count("fatal"), 0);
  EXPECT_EQ(engine_.stats().conversations, 0);
  // Each frame has one outcome.
  std::map<uint64_t, int> outcomes;
  for (const CallEvent& event : events_) {
    if (const auto* status = std::get_if<InputStatus>(&event.payload)) ++outcomes[status->frame_id];
  }
  EXPECT_EQ(outcomes.size(), last_frame_);
  for (const auto& [id, count] : outcomes) EXPECT_EQ(count, 1) << "frame " << id;
}

INSTANTIATE_TEST_SUITE_P(Seeds, BargeInProperty, testing::Range(0, 60));

}  // namespace
}  // namespace parley::streaming

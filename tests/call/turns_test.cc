// Whole calls: what the user says and types becomes turns and answers.
#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using TurnsTest = CallFixture;

TEST_F(TurnsTest, OneSpokenTurnIsHeardTranscribedAndAnswered) {
  engine_.Hear(" What is the capital of France? ");
  engine_.SetAnswerTokens(2);
  Start();
  BeSilent(10);
  Turn();
  EXPECT_THAT(lines_, ElementsAre("started 1/0", "stopped 1/0", "committed 1/0 silence",
                                  "transcript 1/0 What is the capital of France?", "response 1/1",
                                  "token 1/1 t1.1 ", "token 1/1 t1.2 ", "done 1/1 end_of_turn", "times 1/1"));
  EXPECT_EQ(engine_.History(), "U:  What is the capital of France?  | A: t1.1 t1.2");
}

TEST_F(TurnsTest, TheUtteranceIsThePaddedSpeechAndTheEventsSayWhere) {
  Start();
  BeSilent(20);
  Turn(30);
  const auto* started = Last<SpeechStarted>();
  const auto* stopped = Last<SpeechStopped>();
  const auto* committed = Last<TurnCommitted>();
  ASSERT_TRUE(started != nullptr && stopped != nullptr && committed != nullptr);
  EXPECT_EQ(started->sample_index, 20u * 512);
  EXPECT_EQ(stopped->sample_index, 50u * 512);
  EXPECT_EQ(committed->start_sample_index, 20u * 512 - 4800);
  EXPECT_EQ(committed->end_sample_index, 56u * 512);
  ASSERT_EQ(engine_.utterances().size(), 1u);
  const std::vector<float>& heard = engine_.utterances()[0];
  ASSERT_EQ(heard.size(), 36u * 512 + 4800);
  EXPECT_EQ(heard[4799], 0);
  EXPECT_NEAR(heard[4800], 0.5, 1e-3);
  EXPECT_NEAR(heard[4800 + 30 * 512 - 1], 0.5, 1e-3);
  EXPECT_EQ(heard[4800 + 30 * 512], 0);
}

TEST_F(TurnsTest, HowLateTheEndOfSpeechCameIsToldApartFromWhatFollowed) {
  engine_.SetAnswerTokens(1);
  uplink_ = absl::Milliseconds(70);
  Start();
  Say(20);
  uplink_ = absl::Milliseconds(10);
  BeSilent(16);
  const auto* times = Last<TurnTimes>();
  ASSERT_NE(times, nullptr);
  EXPECT_EQ(times->speech_end - times->speech_captured, absl::Milliseconds(102));  // and the 32 ms of Pass
  uplink_ = absl::InfiniteDuration();
  Turn();
  EXPECT_EQ(Last<TurnTimes>()->speech_captured, absl::InfinitePast());
}

TEST_F(TurnsTest, SeveralTurnsFollowEachOtherInOneConversation) {
  engine_.SetAnswerTokens(1);
  for (const char* words : {"one", "two", "three"}) engine_.Hear(words);
  Start();
  for (int i = 0; i < 3; ++i) {
    BeSilent(5);
    Turn();
  }
  EXPECT_EQ(engine_.History(), "U: one | A: t1.1 | U: two | A: t2.1 | U: three | A: t3.1");
  EXPECT_EQ(Count("done 3/3 end_of_turn"), 1);
  EXPECT_EQ(last_epoch_, 3u);
}

TEST_F(TurnsTest, NoiseThatIsNoWordsIsNotAnsweredAndLeavesNothing) {
  engine_.Hear("");
  Start();
  Turn();
  EXPECT_THAT(News(), ElementsAre("started 1/0", "stopped 1/0", "committed 1/0 silence", "transcript 1/0 "));
  EXPECT_EQ(engine_.History(), "");
  engine_.Hear("hello");
  engine_.SetAnswerTokens(1);
  Turn();
  EXPECT_EQ(engine_.History(), "U: hello | A: t1.1");
}

TEST_F(TurnsTest, WhatIsHeardAndNotWrittenDownIsAnswered) {
  engine_.HearWithoutWriting();
  engine_.SetAnswerTokens(1);
  Start();
  Turn();
  EXPECT_THAT(News(), ElementsAre("started 1/0", "stopped 1/0", "committed 1/0 silence", "response 1/1",
                                  "token 1/1 t1.1 ", "done 1/1 end_of_turn"));
}

TEST_F(TurnsTest, TypedTextIsATurnOfItsOwnAnsweredAtOnce) {
  engine_.SetAnswerTokens(1);
  Start();
  call_->Push(input::Text{"hi there"}, 2);
  RunUntilIdle();
  EXPECT_THAT(News(),
              ElementsAre("committed 1/0 text", "response 1/1", "token 1/1 t1.1 ", "done 1/1 end_of_turn"));
  EXPECT_EQ(engine_.History(), "U: hi there | A: t1.1");
}

TEST_F(TurnsTest, TextBesideSpeechHasItsOwnTurnAndTheSpeechGoesOn) {
  engine_.SetAnswerTokens(1);
  engine_.Hear("and this");
  Start();
  Say(10);
  call_->Push(input::Text{"look"}, 2);
  Say(10);
  BeSilent(16);
  EXPECT_THAT(News(), ElementsAre("started 1/0", "committed 2/0 text", "response 2/1", "token 2/1 t1.1 ",
                                  "done 2/1 end_of_turn", "stopped 1/0", "committed 1/0 silence",
                                  "transcript 1/0 and this", "response 1/2", "token 1/2 t2.1 ",
                                  "done 1/2 end_of_turn"));
}

TEST_F(TurnsTest, ResponseCreateAnswersFromWhatThereIs) {
  engine_.SetAnswerTokens(1);
  Start();
  Show(50);
  call_->Push(input::CreateResponse{}, 9);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("frame 1 encoded", "committed 1/0 response_create", "response 1/1",
                                  "token 1/1 t1.1 ", "done 1/1 end_of_turn"));
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(1));
}

TEST_F(TurnsTest, ResponseCreateDuringAnAnswerIsRefused) {
  pace_ = 0;
  Start();
  call_->Push(input::Text{"hi"}, 2);
  Steps(2);
  News();
  call_->Push(input::CreateResponse{}, 9);
  Run();
  EXPECT_THAT(News(), ElementsAre("error invalid_message seq 9"));
}

TEST_F(TurnsTest, TheTimesOfATurnAreInOrder) {
  config_.turn.speculation.enabled = false;
  Start();
  BeSilent(5);
  pace_ = 1;
  Turn();
  while (Count("done") == 0) Pass();
  const auto* times = Last<TurnTimes>();
  ASSERT_NE(times, nullptr);
  EXPECT_EQ(times->end_decided - times->speech_end, absl::Milliseconds(16 * 32));
  EXPECT_GE(times->speech_queued, times->end_decided);
  EXPECT_GE(times->encode_start, times->speech_queued);
  EXPECT_GE(times->prefill_end, times->encode_end);
  EXPECT_GE(times->first_token, times->prefill_end);
  EXPECT_GT(times->last_token, times->first_token);
  EXPECT_EQ(times->answer_tokens, 5);
  EXPECT_EQ(times->speech, absl::Milliseconds(26 * 32 + 5 * 32));
}

TEST_F(TurnsTest, MaximumTurnIsAnsweredAndSpeechThatGoesOnIsTheNextTurn) {
  config_.turn.max_turn = absl::Seconds(1);
  config_.turn.interruption_enabled = false;
  engine_.SetAnswerTokens(1);
  Start();
  Say(40);
  BeSilent(16);
  EXPECT_EQ(Count("committed 1/0 max_turn"), 1);
  EXPECT_EQ(Count("committed 2/0 silence"), 1);
  EXPECT_EQ(Count("done"), 2);
  ASSERT_EQ(engine_.utterances().size(), 2u);
  EXPECT_EQ(engine_.utterances()[0].size() + engine_.utterances()[1].size(), 46u * 512);
}

TEST_F(TurnsTest, AudioStreamEndCommitsSpeechThatGoesOn) {
  Start();
  Say(20);
  call_->Push(input::AudioStreamEnd{}, 5);
  RunUntilIdle();
  EXPECT_EQ(Count("committed 1/0 stream_end"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(TurnsTest, AudioStreamEndInSilenceCommitsNothingAndAudioMayGoOn) {
  Start();
  BeSilent(20);
  call_->Push(input::AudioStreamEnd{}, 5);
  RunUntilIdle();
  EXPECT_THAT(lines_, IsEmpty());
  next_sample_ += 16000 * 60;  // a minute later
  Turn();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(Count("error"), 0);
  EXPECT_EQ(Last<TurnCommitted>()->start_sample_index, 20u * 512 + 16000 * 60);
}

TEST_F(TurnsTest, AudioSentFasterThanItIsJudgedKeepsItsOrderWithTheEndOfTheStream) {
  Start();
  for (int i = 0; i < 40; ++i) {
    call_->Push(input::Audio{Pcm(i < 20 ? 0.5f : 0.0f), next_sample_, kNotKnown}, ++seq_);
    next_sample_ += kChunk;
  }
  for (int i = 0; i < 20; ++i) {
    call_->Push(input::Audio{Pcm(0.5f), next_sample_, kNotKnown}, ++seq_);
    next_sample_ += kChunk;
  }
  call_->Push(input::AudioStreamEnd{}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
  EXPECT_EQ(Count("committed 2/0 stream_end"), 1);
  EXPECT_EQ(call_->audio_backlog_ms(), 0);
}

TEST_F(TurnsTest, ManualModeAnswersTheActivity) {
  config_.turn.mode = TurnMode::kManual;
  has_detector_ = false;
  Start();
  BeSilent(20);
  call_->Push(input::ActivityStart{}, 3);
  BeSilent(20);  // quiet words count: the client decides
  call_->Push(input::ActivityEnd{}, 4);
  RunUntilIdle();
  EXPECT_EQ(lines_[0], "committed 1/0 activity_end");
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(engine_.utterances()[0].size(), 20u * 512 + 4800);
}

TEST_F(TurnsTest, InputCommitInManualModeTakesAllAudioSinceTheLastTurn) {
  config_.turn.mode = TurnMode::kManual;
  Start();
  Say(10);
  call_->Push(input::Commit{}, 3);
  RunUntilIdle();
  Say(7);
  call_->Push(input::Commit{}, 4);
  RunUntilIdle();
  ASSERT_EQ(engine_.utterances().size(), 2u);
  EXPECT_EQ(engine_.utterances()[0].size(), 10u * 512);
  EXPECT_EQ(engine_.utterances()[1].size(), 7u * 512);
}

TEST_F(TurnsTest, PushToTalkOverSoundThatIsNoSpeechIsATurnWithoutWords) {
  config_.turn.mode = TurnMode::kManual;
  Start();
  call_->Push(input::ActivityStart{}, 3);
  for (int i = 0; i < 10; ++i) {  // claps: a window or two each
    Say(2);
    BeSilent(5);
  }
  call_->Push(input::ActivityEnd{}, 4);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("committed 1/0 activity_end", "transcript 1/0 "));
  EXPECT_EQ(engine_.utterances().size(), 0u);
  EXPECT_EQ(engine_.early_transcriptions().size(), 0u);
  EXPECT_EQ(Last<TurnCommitted>()->end_sample_index, 70u * 512);
}

TEST_F(TurnsTest, PushToTalkOverNoSpeechIsAnsweredFromWhatIsShown) {
  config_.turn.mode = TurnMode::kManual;
  engine_.SetAnswerTokens(1);
  Start();
  Show(50);
  call_->Push(input::ActivityStart{}, 3);
  BeSilent(20);
  call_->Push(input::ActivityEnd{}, 4);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(engine_.History(), "U: [16] | A: t1.1");
}

TEST_F(TurnsTest, PushToTalkHearsAWordAmongNoise) {
  config_.turn.mode = TurnMode::kManual;
  Start();
  call_->Push(input::ActivityStart{}, 3);
  BeSilent(20);
  Say(3);
  BeSilent(20);
  call_->Push(input::ActivityEnd{}, 4);
  RunUntilIdle();
  ASSERT_EQ(engine_.utterances().size(), 1u);
  EXPECT_EQ(engine_.utterances()[0].size(), 43u * 512);
}

TEST_F(TurnsTest, InputCommitDoesNotWaitForSilence) {
  Start();
  Say(20);
  call_->Push(input::Commit{}, 3);
  RunUntilIdle();
  EXPECT_EQ(Count("committed 1/0 input_commit"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(TurnsTest, InputCommitOfNothingIsATurnWithoutAnswer) {
  Start();
  call_->Push(input::Commit{}, 3);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("committed 1/0 input_commit", "transcript 1/0 "));
}

TEST_F(TurnsTest, InputCommitOfFramesAloneIsAnswered) {
  Start();
  Show(50);
  call_->Push(input::Commit{}, 3);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(engine_.History().substr(0, 9), "U: [16] |");
}

TEST_F(TurnsTest, ActivityOutsideManualModeIsRefused) {
  Start();
  call_->Push(input::ActivityStart{}, 3);
  call_->Push(input::ActivityEnd{}, 4);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("error wrong_mode seq 3", "error wrong_mode seq 4"));
}

TEST_F(TurnsTest, ActivitiesThatDoNotPairAreRefused) {
  config_.turn.mode = TurnMode::kManual;
  Start();
  call_->Push(input::ActivityEnd{}, 3);
  call_->Push(input::ActivityStart{}, 4);
  call_->Push(input::ActivityStart{}, 5);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("error invalid_message seq 3", "error invalid_message seq 5"));
}

TEST_F(TurnsTest, AConfigurationChangesInMidCallAndIsEchoed) {
  Start();
  Say(20);
  config_.turn.silence = absl::Milliseconds(200);
  config_.generation.max_tokens = 3;
  call_->Push(input::Update{config_}, 0);
  BeSilent(7);
  EXPECT_EQ(Count("config"), 1);
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
  EXPECT_EQ(Count("token"), 3);
  EXPECT_EQ(engine_.last_generation().max_tokens, 3);
}

TEST_F(TurnsTest, ManualModeCanBecomeVadModeAndBack) {
  config_.turn.mode = TurnMode::kManual;
  Start();
  Turn();
  EXPECT_EQ(Count("committed"), 0);
  config_.turn.mode = TurnMode::kVad;
  call_->Push(input::Update{config_}, 0);
  Turn();
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
  config_.turn.mode = TurnMode::kManual;
  call_->Push(input::Update{config_}, 0);
  Turn();
  EXPECT_EQ(Count("committed"), 1);
}

TEST_F(TurnsTest, WaitingTurnsAreAnsweredInOrderAndTooManyAreRefused) {
  config_.turn.interruption_enabled = false;
  pace_ = 0;
  Start();
  for (int i = 0; i < 7; ++i) Turn();
  EXPECT_EQ(Count("committed"), 1);
  EXPECT_EQ(Count("error too_large"), 2);
  RunUntilIdle();
  EXPECT_EQ(Count("done"), 5);
  std::vector<std::string> committed;
  for (const std::string& line : lines_) {
    if (line.rfind("committed", 0) == 0) committed.push_back(line.substr(0, 13));
  }
  EXPECT_THAT(committed, ElementsAre("committed 1/0", "committed 2/0", "committed 3/0", "committed 4/0",
                                     "committed 5/0"));
}

TEST_F(TurnsTest, CloseCommitsWhatIsBeingSaidAnswersItAndEnds) {
  Start();
  Say(20);
  call_->Push(input::Close{}, 0);
  RunUntilIdle();
  EXPECT_EQ(Count("committed 1/0 stream_end"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(lines_.back(), "ended");
  EXPECT_EQ(engine_.stats().conversations, 0);
}

TEST_F(TurnsTest, CloseDuringAnAnswerFinishesIt) {
  pace_ = 0;
  Start();
  call_->Push(input::Text{"hi"}, 2);
  Steps(3);
  call_->Push(input::Close{}, 0);
  Run();
  EXPECT_EQ(Count("ended"), 0);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(lines_.back(), "ended");
}

TEST_F(TurnsTest, CloseOfASilentCallEndsAtOnce) {
  Start();
  BeSilent(3);
  call_->Push(input::Close{}, 0);
  RunUntilIdle();
  EXPECT_THAT(lines_, ElementsAre("ended"));
}

}  // namespace
}  // namespace parley::streaming

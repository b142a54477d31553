// What goes wrong: bad media, a failing engine, a client that vanishes. The call goes on, or ends with a
// reason.
#include <random>

#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using FaultsTest = CallFixture;

TEST_F(FaultsTest, MediaThatTheBundleDoesNotTakeIsRefusedAtTheStart) {
  engine_.SetSenses(false, true);
  EXPECT_TRUE(absl::IsInvalidArgument(TryStart().status()));
  engine_.SetSenses(true, false);
  EXPECT_TRUE(absl::IsInvalidArgument(TryStart().status()));
  engine_.SetSenses(true, true);
  has_detector_ = false;
  EXPECT_TRUE(absl::IsInvalidArgument(TryStart().status()));
  has_detector_ = true;
  config_.audio->channels = 9;
  EXPECT_TRUE(absl::IsInvalidArgument(TryStart().status()));
  EXPECT_EQ(engine_.stats().conversations, 0);
}

TEST_F(FaultsTest, MediaThatWasNotDeclaredIsRefusedAndTheCallGoesOn) {
  config_.audio.reset();
  config_.video.reset();
  Start();
  call_->Push(input::Audio{"ab", 0, kNotKnown}, 3);
  call_->Push(input::Frame{"ab", 1, 0, kNotKnown}, 4);
  call_->Push(input::ActivityStart{}, 5);
  call_->Push(input::Text{"hi"}, 6);
  RunUntilIdle();
  EXPECT_EQ(lines_[0], "error invalid_message seq 3");
  EXPECT_EQ(lines_[1], "error invalid_message seq 4");
  EXPECT_EQ(lines_[2], "error wrong_mode seq 5");
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(call_->audio_backlog_ms(), 0);
}

TEST_F(FaultsTest, GarbageAudioIsAnErrorThatNamesTheMessageAndTheCallGoesOn) {
  Start();
  BeSilent(3);
  call_->Push(input::Audio{"abc", next_sample_, kNotKnown}, 41);
  call_->Push(input::Audio{"", next_sample_, kNotKnown}, 42);
  RunUntilIdle();
  EXPECT_THAT(News(), ElementsAre("error undecodable_audio seq 41", "error undecodable_audio seq 42"));
  Turn();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(FaultsTest, OpusGarbageIsAnErrorAndTheCallGoesOn) {
  config_.audio = AudioFormat{.codec = AudioCodec::kOpus, .sample_rate_hz = 48'000};
  Start();
  std::mt19937 random(1);
  for (uint64_t i = 0; i < 50; ++i) {
    std::string junk;
    for (int size = random() % 100; size > 0; --size) junk.push_back(static_cast<char>(random()));
    call_->Push(input::Audio{junk, 960 * i, kNotKnown}, ++seq_);
    Pass();
  }
  EXPECT_EQ(Count("fatal"), 0);
  call_->Push(input::Text{"hi"}, ++seq_);
  RunUntilIdle();
  EXPECT_GE(Count("done"), 1);
}

TEST_F(FaultsTest, AGapWithinTheLimitIsFilledInAndWarnedOf) {
  Start();
  Say(10);
  next_sample_ += 1600;
  Say(10);
  BeSilent(16);
  EXPECT_EQ(Count("warning audio_gap"), 1);
  ASSERT_EQ(engine_.utterances().size(), 1u);
  EXPECT_NEAR(engine_.utterances()[0].size(), 26 * 512 + 1600, 512);
}

TEST_F(FaultsTest, RepeatedSamplesAreDroppedAndWarnedOf) {
  Start();
  Say(10);
  next_sample_ -= 700;
  Say(10);
  EXPECT_EQ(Count("warning audio_overlap"), 1);
  EXPECT_EQ(Count("error"), 0);
}

TEST_F(FaultsTest, ABrokenClientIsNotFloodedWithWarnings) {
  Start();
  for (int i = 0; i < 100; ++i) {
    Chunk(0);
    next_sample_ += 16;
  }
  EXPECT_EQ(Count("warning audio_gap"), 4);  // 3.2 seconds
  EXPECT_NE(Last<CallWarning>()->message.find("times before it"), std::string::npos);
}

TEST_F(FaultsTest, AGapOverTheLimitIsAnErrorAndTheClockFollowsTheClient) {
  Start();
  BeSilent(10);
  next_sample_ += 16000 * 100;
  Chunk(0);
  EXPECT_THAT(News(), ElementsAre("error audio_gap seq 12"));
  const uint64_t start = next_sample_;
  Turn();
  EXPECT_EQ(Count("error"), 1);
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
  EXPECT_EQ(Last<SpeechStarted>()->sample_index, start);
}

TEST_F(FaultsTest, OneDamagedIndexMovesNothing) {
  Start();
  Say(10);
  call_->Push(input::Audio{Pcm(0.5f), uint64_t{1} << 63, kNotKnown}, 99);
  Say(1);
  call_->Push(input::Audio{Pcm(0.5f), next_sample_ + 16'000'000, kNotKnown}, 99);
  RunUntilIdle();
  EXPECT_EQ(Count("error audio_gap seq 99"), 2);
  Say(10);
  BeSilent(16);
  EXPECT_EQ(Count("committed 1/0 silence"), 1);
  EXPECT_EQ(Last<TurnCommitted>()->start_sample_index, 0u);
}

TEST_F(FaultsTest, AJumpInMidSpeechCommitsWhatWasSaidBeforeIt) {
  Start();
  Say(20);
  next_sample_ += 16000 * 100;
  Say(20);
  BeSilent(16);
  EXPECT_EQ(Count("committed 1/0 audio_idle"), 1);
  EXPECT_EQ(Count("committed 2/0 silence"), 1);
}

TEST_F(FaultsTest, AFailedSpeechOperationEndsTheCallWithAReason) {
  Start();
  Say(20);
  engine_.FailNext(absl::InternalError("encoder lost"));
  BeSilent(16);
  EXPECT_EQ(lines_.back(), "fatal engine_failed seq 0");
  EXPECT_EQ(Last<CallError>()->message, "encoder lost");
  EXPECT_EQ(engine_.stats().conversations, 0);
}

TEST_F(FaultsTest, AFailedFrameEndsTheCallWithAReason) {
  Start();
  engine_.FailNext(absl::InternalError("encoder lost"));
  Show(50);
  EXPECT_THAT(lines_, ElementsAre("fatal engine_failed seq 0"));
}

TEST_F(FaultsTest, AFailedAnswerIsDoneAndThenTheCallEnds) {
  pace_ = 0;
  Start();
  call_->Push(input::Text{"hi"}, 3);
  Steps(2);
  engine_.FailNext(absl::InternalError("step lost"));
  RunUntilIdle();
  EXPECT_THAT(lines_, ElementsAre("committed 1/0 text", "response 1/1", "token 1/1 t1.1 ", "done 1/1 failed",
                                  "times 1/1", "fatal engine_failed seq 0"));
}

TEST_F(FaultsTest, ATurnThatDoesNotFitTheContextIsDoneWithThatReasonAndTheCallGoesOn) {
  config_.turn.speculation.enabled = false;
  Start();
  engine_.RefuseNext(absl::ResourceExhaustedError("8192 tokens"), 2);  // at the pause, and for the turn
  Turn();
  EXPECT_EQ(Count("done 1/1 context_full"), 1);
  engine_.RefuseNext(absl::ResourceExhaustedError("8192 tokens"));
  call_->Push(input::Text{"hi"}, 3);
  RunUntilIdle();
  EXPECT_EQ(Count("done 2/2 context_full"), 1);
  call_->Push(input::Text{"hi"}, 3);
  RunUntilIdle();
  EXPECT_EQ(Count("done 3/3 end_of_turn"), 1);
  EXPECT_EQ(engine_.History().substr(0, 8), "U: hi | ");
}

TEST_F(FaultsTest, ACompactionIsToldInItsPlaceAndBelongsToNoTurn) {
  config_.context_policy = {.max_frames = 5};
  Start();
  EXPECT_EQ(engine_.last_options().context.max_frames, 5);
  call_->Push(input::Text{"hi"}, 3);
  RunUntilIdle();
  News();
  engine_.last_options().on_compaction({engine::Compaction::Reason::kContextLimit, 3, 900, 200});
  Run();
  EXPECT_THAT(News(), ElementsAre("compacted 0/0 3 turns: 900 to 200"));
  call_->Abort();
  engine_.last_options().on_compaction({});
  Run();
  EXPECT_THAT(News(), ElementsAre());
}

TEST_F(FaultsTest, AFrameThatDoesNotFitTheContextIsDroppedAndTheCallGoesOn) {
  Start();
  engine_.RefuseNext(absl::ResourceExhaustedError("8192 tokens"));
  Show(50);
  EXPECT_THAT(News(), ElementsAre("frame 1 overloaded"));
  EXPECT_EQ(Last<InputStatus>()->detail, "8192 tokens");
  clock_.Advance(absl::Seconds(1));
  Show(50);
  call_->Push(input::CreateResponse{}, 3);
  RunUntilIdle();
  EXPECT_THAT(Last<TurnCommitted>()->frame_ids, ElementsAre(2));
}

TEST_F(FaultsTest, AConversationLostForWantOfRoomEndsTheCallWithThatReason) {
  pace_ = 0;
  Start();
  call_->Push(input::Text{"hi"}, 3);
  Steps(2);
  engine_.FailNext(absl::ResourceExhaustedError("8192 tokens"));
  RunUntilIdle();
  EXPECT_EQ(lines_.back(), "fatal context_full seq 0");
}

TEST_F(FaultsTest, AnAnswerThatFillsTheContextSaysSo) {
  engine_.SetAnswerEnd(engine::FinishReason::kContextFull);
  Start();
  call_->Push(input::Text{"hi"}, 3);
  RunUntilIdle();
  EXPECT_EQ(Count("done 1/1 context_full"), 1);
  EXPECT_EQ(Count("fatal"), 0);
}

TEST_F(FaultsTest, AWindowThatTheDetectorCannotJudgeIsSilenceAndTheCallGoesOn) {
  engine_.SetAnswerTokens(1);
  Start();
  BeSilent(3);
  detector_.fail_next = absl::InternalError("lost");
  BeSilent(3);
  EXPECT_THAT(News(), ElementsAre("warning engine_failed"));
  Turn();
  EXPECT_EQ(Count("done 1/1 end_of_turn"), 1);
}

TEST_F(FaultsTest, VadModeWithoutADetectorIsRefusedInMidCall) {
  has_detector_ = false;
  config_.turn.mode = TurnMode::kManual;
  Start();
  config_.turn.mode = TurnMode::kVad;
  call_->Push(input::Update{config_}, 0);
  RunUntilIdle();
  EXPECT_THAT(lines_, ElementsAre("error invalid_message seq 0"));
}

TEST_F(FaultsTest, TheBacklogCountsAudioUntilItIsJudgedAndTellsWhenItIsHalfDrained) {
  limits_.max_audio_backlog_ms = 1000;
  Start();
  bool drained = false;
  for (int i = 0; i < 50; ++i) {
    call_->Push(input::Audio{Pcm(0), next_sample_, kNotKnown}, ++seq_);
    next_sample_ += kChunk;
  }
  EXPECT_EQ(call_->audio_backlog_ms(), 1600);
  int at = -1;
  call_->NotifyWhenDrained([&] {
    drained = true;
    at = call_->audio_backlog_ms();
  });
  EXPECT_FALSE(drained);
  Run();
  EXPECT_TRUE(drained);
  EXPECT_LE(at, 500);
  EXPECT_EQ(call_->audio_backlog_ms(), 0);
  drained = false;
  call_->NotifyWhenDrained([&] { drained = true; });
  Run();
  EXPECT_TRUE(drained);
}

TEST_F(FaultsTest, MessagesThatWaitAreCountedUntilTheyAreActedOn) {
  Start();
  int drained = 0;
  for (int i = 0; i < 64; ++i) {
    call_->Push(input::Text{"hello"}, ++seq_);
    call_->Push(input::Clear{}, ++seq_);
  }
  EXPECT_FALSE(call_->backlogged());
  call_->Push(input::CancelResponse{7}, ++seq_);
  EXPECT_TRUE(call_->backlogged());
  call_->NotifyWhenDrained([&] {
    ++drained;
    EXPECT_FALSE(call_->backlogged());
  });
  EXPECT_EQ(drained, 0);
  Run();
  EXPECT_EQ(drained, 1);
  call_->NotifyWhenDrained([&] { ++drained; });
  Run();
  EXPECT_EQ(drained, 2);
}

TEST_F(FaultsTest, MessagesThatWaitForAudioCountToo) {
  struct HeldDetector : DetectorThread {
    struct HeldStream : Stream {
      explicit HeldStream(HeldDetector* owner) : owner(owner) {}
      void Push(std::vector<float>, absl::AnyInvocable<void(absl::StatusOr<float>)> done) override {
        owner->held.push_back(std::move(done));
      }
      HeldDetector* const owner;
    };
    std::unique_ptr<Stream> NewStream() override { return std::make_unique<HeldStream>(this); }
    std::vector<absl::AnyInvocable<void(absl::StatusOr<float>)>> held;
  };
  auto held_detector = std::make_unique<HeldDetector>();
  HeldDetector& detector = *held_detector;
  detector_thread_ = std::move(held_detector);
  Start();
  call_->Push(input::Audio{Pcm(0), next_sample_, kNotKnown}, ++seq_);
  for (int i = 0; i < 200; ++i) call_->Push(input::Clear{}, ++seq_);
  bool drained = false;
  call_->NotifyWhenDrained([&] { drained = true; });
  Run();
  EXPECT_TRUE(call_->backlogged());
  EXPECT_FALSE(drained);
  ASSERT_EQ(detector.held.size(), 1u);
  detector.held[0](0.01f);
  Run();
  EXPECT_FALSE(call_->backlogged());
  EXPECT_TRUE(drained);
  call_.reset();
}

TEST_F(FaultsTest, AbortForgetsWhatWaits) {
  Start();
  for (int i = 0; i < 200; ++i) call_->Push(input::Text{"hello"}, ++seq_);
  call_->Abort();
  Run();
  EXPECT_FALSE(call_->backlogged());
  EXPECT_THAT(lines_, IsEmpty());
}

TEST_F(FaultsTest, TheSinkMayAbortTheCallWithinAnEvent) {
  on_event_ = [this](const std::string& line) {
    if (line.rfind("token", 0) == 0) call_->Abort();
  };
  Start();
  call_->Push(input::Text{"hi"}, 3);
  RunUntilIdle();
  EXPECT_EQ(lines_.back(), "token 1/1 t1.1 ");
  EXPECT_EQ(engine_.stats().conversations, 0);
}

TEST_F(FaultsTest, TheSinkMayDestroyTheCallWithinAnEvent) {
  on_event_ = [this](const std::string& line) {
    if (line.rfind("token", 0) == 0) call_.reset();
  };
  Start();
  call_->Push(input::Text{"hi"}, 3);
  RunUntilIdle();
  EXPECT_EQ(lines_.back(), "token 1/1 t1.1 ");
  EXPECT_EQ(engine_.stats().conversations, 0);
}

// The client vanishes at any moment of a call that does everything at once.
class AbortProperty : public CallFixture, public testing::WithParamInterface<int> {};

TEST_P(AbortProperty, NothingIsToldAndNothingIsHeldAfterwards) {
  std::mt19937 random(GetParam());
  Start();
  const int moment = static_cast<int>(random() % 300);
  for (int step = 0; step < moment; ++step) {
    const bool loud = step % 60 < 30;
    call_->Push(input::Audio{Pcm(loud ? 0.5f : 0.0f), next_sample_, kNotKnown}, ++seq_);
    next_sample_ += kChunk;
    clock_.Advance(absl::Milliseconds(32));
    if (random() % 10 == 0) {
      call_->Push(input::Frame{TestPng(random() % 256), ++last_frame_, 0, kNotKnown}, ++seq_);
    }
    if (random() % 50 == 0) call_->Push(input::Text{"text"}, ++seq_);
    if (random() % 50 == 0) call_->Push(input::Clear{}, ++seq_);
    if (random() % 2 == 0) Run();
    for (int work = random() % 3; work > 0; --work) engine_.Step();
  }
  const bool destroy = random() % 2 == 0;
  if (random() % 3 == 0) call_->Push(input::Close{}, 0);
  if (destroy) {
    call_.reset();
  } else {
    call_->Abort();
  }
  const size_t told = events_.size();
  EXPECT_EQ(engine_.stats().conversations, 0);
  if (!destroy) {
    call_->Push(input::Text{"late"}, ++seq_);
    call_->Push(input::Audio{Pcm(0), next_sample_, kNotKnown}, ++seq_);
    call_->Push(input::Frame{TestPng(1), ++last_frame_, 0, kNotKnown}, ++seq_);
    call_->Push(input::Close{}, 0);
    call_->Tick();
    call_->Abort();
  }
  RunUntilIdle();
  EXPECT_EQ(events_.size(), told);
}

INSTANTIATE_TEST_SUITE_P(Seeds, AbortProperty, testing::Range(0, 60));

}  // namespace
}  // namespace parley::streaming

// Speculation, promotion and deadlines as engine/api/conversation.h promises them, on the fake model in
// simulated time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/api/conversation.h"
#include "tests/runtime/recording.h"

namespace parley::engine {
namespace {

const auto kIgnore = [](const auto&) {};

FakeOptions Costs() {
  FakeOptions options;
  options.step_time = absl::Milliseconds(5);
  options.row_time = absl::Milliseconds(1);
  options.encode_time = absl::Milliseconds(20);
  options.transcription_time = absl::Milliseconds(40);
  return options;
}

// Speech and its answer, begun speculatively.
struct Attempt {
  explicit Attempt(Conversation* conversation, double seconds = 2) {
    mark = conversation->Speculate();
    conversation->AppendSpeech(Speech(seconds), [speech = speech](absl::StatusOr<SpeechResult> result) {
      speech->Done()(std::move(result));
    });
    conversation->Answer({}, answer);
  }
  MarkId mark;
  std::shared_ptr<Recorded<SpeechResult>> speech = std::make_shared<Recorded<SpeechResult>>();
  std::shared_ptr<RecordedAnswer> answer = std::make_shared<RecordedAnswer>();
};

std::string PlainAnswer(double seconds = 2) {
  Bench bench(Costs());
  auto conversation = bench.Start();
  conversation->AppendSpeech(Speech(seconds), kIgnore);
  auto answer = std::make_shared<RecordedAnswer>();
  conversation->Answer({}, answer);
  bench.engine->RunUntilIdle();
  return answer->text();
}

TEST(SpeculationTest, AnIdleDeviceDoesItAtOnceAndTheResultIsThePlainOne) {
  Bench bench(Costs());
  auto conversation = bench.Start();
  bench.engine->RunUntilIdle();
  Attempt attempt(conversation.get());
  bench.engine->RunUntilIdle();
  ASSERT_EQ(attempt.answer->done(), 1);
  EXPECT_EQ(attempt.speech->result->value().transcript, "2.0 seconds of speech");
  EXPECT_EQ(attempt.answer->text(), PlainAnswer());
  EXPECT_GT(bench.engine->stats().speculative_rows, 24);
  EXPECT_LT(bench.engine->stats().speculative_rows, bench.engine->stats().step_rows.sum());
}

TEST(SpeculationTest, PromotedAtAnyPointItGoesOnWhereItWas) {
  for (int passes = 0; passes < 30; ++passes) {
    Bench bench(Costs());
    auto conversation = bench.Start();
    Attempt attempt(conversation.get());
    for (int i = 0; i < passes; ++i) bench.engine->RunOnce();
    conversation->Promote();
    bench.engine->RunUntilIdle();
    EXPECT_EQ(attempt.answer->text(), PlainAnswer()) << passes;
    EXPECT_EQ(attempt.speech->calls, 1);
    EXPECT_EQ(attempt.answer->done(), 1);
  }
}

TEST(SpeculationTest, RewoundAtAnyPointItLeavesNoTrace) {
  for (int passes = 0; passes < 30; ++passes) {
    Bench bench(Costs());
    auto conversation = bench.Start();
    Attempt attempt(conversation.get(), 3);
    for (int i = 0; i < passes; ++i) bench.engine->RunOnce();
    conversation->Rewind(attempt.mark);
    Attempt next(conversation.get());
    conversation->Promote();
    bench.engine->RunUntilIdle();
    EXPECT_EQ(next.answer->text(), PlainAnswer()) << passes;
    EXPECT_EQ(attempt.speech->calls, 1);
    EXPECT_EQ(attempt.answer->done(), 1);
  }
}

// One conversation talks without end; what is given to the other gets nothing but what its steps can
// piggyback.
class LoadedTest : public ::testing::Test {
 protected:
  LoadedTest() {
    options_.answer_tokens = 1000;
    bench_.emplace(options_);
    talking_ = bench_->Start();
    talking_->AppendText("Talk.", kIgnore);
    talking_->Answer({.max_tokens = 1000}, talk_);
    other_ = bench_->Start();
    while (talk_->chunks().empty()) bench_->engine->RunOnce();
    // The other's system prompt is prefilled.
    for (int i = 0; i < 5; ++i) bench_->engine->RunOnce();
  }
  void Passes(int count) {
    for (int i = 0; i < count; ++i) bench_->engine->RunOnce();
  }

  FakeOptions options_ = Costs();
  std::optional<Bench> bench_;
  std::unique_ptr<Conversation> talking_;
  std::unique_ptr<Conversation> other_;
  std::shared_ptr<RecordedAnswer> talk_ = std::make_shared<RecordedAnswer>();
};

TEST_F(LoadedTest, SpeculationWaitsWhileSomebodyIsAnswered) {
  Attempt attempt(other_.get());
  const absl::Time start = bench_->clock.Now();
  Passes(100);
  EXPECT_EQ(bench_->clock.Now() - start, absl::Milliseconds(100 * 6));  // a step of one row each
  EXPECT_EQ(attempt.speech->calls, 0);
  talking_.reset();
  bench_->engine->RunUntilIdle();
  EXPECT_EQ(attempt.answer->done(), 1);
}

TEST_F(LoadedTest, PromotedItTakesItsPlace) {
  Attempt attempt(other_.get());
  Passes(10);
  EXPECT_EQ(attempt.speech->calls, 0);
  other_->Promote();
  Passes(3);  // two chunks, the prefill
  EXPECT_EQ(attempt.speech->calls, 1);
  EXPECT_TRUE(attempt.speech->status().ok());
}

TEST_F(LoadedTest, WhatIsGivenAfterTheRewindIsNotSpeculative) {
  Attempt attempt(other_.get());
  other_->Rewind(attempt.mark);
  Recorded<SpeechResult> speech;
  other_->AppendSpeech(Speech(2), speech.Done());
  Passes(4);
  EXPECT_TRUE(speech.status().ok());
  EXPECT_EQ(attempt.speech->status().code(), absl::StatusCode::kCancelled);
}

TEST_F(LoadedTest, ARewindToAnEarlierMarkEndsSpeculationToo) {
  const MarkId before = other_->Mark();
  Attempt attempt(other_.get());
  other_->Speculate();  // within speculation: a mark like any other
  other_->Rewind(before);
  Recorded<SpeechResult> speech;
  other_->AppendSpeech(Speech(1), speech.Done());
  Passes(3);
  EXPECT_TRUE(speech.status().ok());
}

TEST_F(LoadedTest, ARewindToALaterMarkDoesNot) {
  Attempt attempt(other_.get());
  other_->Rewind(other_->Mark());
  Recorded<SpeechResult> speech;
  other_->AppendSpeech(Speech(1), speech.Done());
  Passes(50);
  EXPECT_EQ(speech.calls, 0);
  EXPECT_EQ(attempt.speech->calls, 0);
  other_.reset();
  Passes(1);
  EXPECT_EQ(speech.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(LoadedTest, AFrameBeforeASpeculationIsNotHeldUpByIt) {
  Recorded<FrameResult> frame;
  other_->AppendFrame(Colour(255, 0, 0), frame.Done());
  Attempt attempt(other_.get());
  Passes(4);
  EXPECT_TRUE(frame.status().ok());
  EXPECT_EQ(attempt.speech->calls, 0);
}

TEST(SpeculationTest, PromoteWithoutSpeculationIsANoOp) {
  Bench bench(Costs());
  auto conversation = bench.Start();
  conversation->Promote();
  EXPECT_EQ(bench.Ask(conversation.get(), "Well?")->result().reason, FinishReason::kEndOfTurn);
}

TEST(SpeculationTest, AfterLoadItIsBegunAgainThoughNobodyComes) {
  Bench bench;  // work takes no time
  std::vector<std::unique_ptr<Conversation>> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(bench.Start());
    others.back()->AppendSpeech(Speech(1), kIgnore);  // two wait while one is read
  }
  auto conversation = bench.Start();
  Attempt attempt(conversation.get());
  bench.engine->RunUntilIdle();
  EXPECT_EQ(attempt.speech->calls, 0);
  bench.clock.Advance(absl::Milliseconds(250));
  bench.engine->RunUntilIdle();
  EXPECT_EQ(attempt.answer->done(), 1);
}

TEST(SpeculationTest, OnItsThreadItIsBegunAgainThoughNobodyComes) {
  FakeOptions options;
  options.runtime.step.speculation_cooldown = absl::Milliseconds(5);
  LoadedFake fake = MakeFakeEngine(options, Clock::Real());
  std::vector<std::unique_ptr<Conversation>> conversations;
  absl::Mutex mutex;
  int read = 0;
  for (int i = 0; i < 8; ++i) {
    conversations.push_back(fake.engine->StartConversation({}).value());
    if (i % 2 == 0) conversations.back()->Speculate();
    conversations.back()->AppendSpeech(Speech(4), [&](const auto& result) {
      absl::MutexLock lock(&mutex);
      read += result.ok();
    });
  }
  absl::MutexLock lock(&mutex);
  auto all = [&] { return read == 8; };
  mutex.Await(absl::Condition(&all));
}

TEST(SpeculationTest, DestructionInMidSpeculationFreesItWithinOneStep) {
  Bench bench(Costs());
  auto conversation = bench.Start();
  Attempt attempt(conversation.get(), 30);
  for (int i = 0; i < 5; ++i) bench.engine->RunOnce();
  conversation.reset();
  bench.engine->RunOnce();
  EXPECT_EQ(attempt.speech->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(attempt.answer->result().reason, FinishReason::kCancelled);
  EXPECT_EQ(bench.engine->stats().conversations, 0);
}

TEST(DeadlineTest, APictureThatIsTooOldWhenItsTurnComesIsRefusedAndTheConversationGoesOn) {
  Bench bench(Costs());
  auto conversation = bench.Start();
  Recorded<FrameResult> late;
  Recorded<FrameResult> in_time;
  conversation->AppendSpeech(Speech(2), kIgnore);  // 80 ms and more
  conversation->AppendFrame(Colour(255, 0, 0), bench.clock.Now() + absl::Milliseconds(80), late.Done());
  conversation->AppendFrame(Colour(0, 255, 0), bench.clock.Now() + absl::Seconds(1), in_time.Done());
  bench.engine->RunUntilIdle();
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(late.calls, 1);
  EXPECT_TRUE(in_time.status().ok());
  const std::string got = bench.Ask(conversation.get(), "Well?")->text();
  Bench plain(Costs());
  auto expected = plain.Start();
  expected->AppendSpeech(Speech(2), kIgnore);
  expected->AppendFrame(Colour(0, 255, 0), kIgnore);
  EXPECT_EQ(got, plain.Ask(expected.get(), "Well?")->text());
}

TEST(DeadlineTest, APictureThatWaitsForTheEncoderPastItsDeadlineIsRefused) {
  Bench bench(Costs());
  auto speaking = bench.Start();
  auto watching = bench.Start();
  speaking->AppendSpeech(Speech(20), kIgnore);
  bench.engine->RunOnce();
  Recorded<FrameResult> frame;
  watching->AppendFrame(Colour(255, 0, 0), bench.clock.Now() + absl::Milliseconds(100), frame.Done());
  bench.engine->RunUntilIdle();
  EXPECT_EQ(frame.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(EncoderTest, FramesOfManyCallsShareAPass) {
  FakeOptions options;
  options.encode_pass_time = absl::Milliseconds(8);
  options.encode_time = absl::Milliseconds(2);
  Bench bench(options);
  std::vector<std::unique_ptr<Conversation>> conversations;
  std::vector<std::string> seen;
  const auto show = [&] {
    for (auto& conversation : conversations) {
      conversation->AppendFrame(Colour(255, 0, 0), [&](const absl::StatusOr<FrameResult>& frame) {
        seen.push_back(frame.ok() ? frame->description : frame.status().ToString());
      });
    }
    const absl::Time start = bench.clock.Now();
    bench.engine->RunUntilIdle();
    return bench.clock.Now() - start;
  };
  for (int i = 0; i < 5; ++i) conversations.push_back(bench.Start());
  show();  // measures: one alone costs 10 ms, so five fit into 50
  EXPECT_EQ(show(), absl::Milliseconds(8 + 5 * 2));
  EXPECT_EQ(seen, std::vector<std::string>(10, "a red picture"));
}

TEST(EncoderTest, APassThatFailsFailsTheGuiltyAlone) {
  FakeOptions options;
  options.encode_time = absl::Milliseconds(2);
  Bench bench(options);
  std::vector<std::unique_ptr<Conversation>> conversations;
  for (int i = 0; i < 4; ++i) {
    conversations.push_back(bench.Start());
    conversations.back()->AppendFrame(Colour(0, 0, 255), kIgnore);
  }
  bench.engine->RunUntilIdle();
  std::vector<Recorded<FrameResult>> frames(4);
  for (int i = 0; i < 4; ++i) conversations[i]->AppendFrame(Colour(0, 255, 0), frames[i].Done());
  bench.faults->FailNextEncode(absl::InternalError("encoder"));  // of the pass; each alone succeeds
  bench.engine->RunUntilIdle();
  for (const auto& frame : frames) EXPECT_TRUE(frame.status().ok()) << frame.status();
}

}  // namespace
}  // namespace parley::engine

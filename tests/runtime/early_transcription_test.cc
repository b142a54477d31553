// TranscribeEarly as engine/api/conversation.h promises it, on the fake model in simulated time: a second of
// speech takes a chunk of 40 ms, and none where a draft has it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/api/conversation.h"
#include "tests/runtime/recording.h"

namespace parley::engine {
namespace {

const auto kIgnore = [](const auto&) {};
constexpr absl::Duration kChunk = absl::Milliseconds(40);

class EarlyTranscriptionTest : public ::testing::Test {
 protected:
  EarlyTranscriptionTest() { bench_.engine->RunUntilIdle(); }

  static FakeOptions Costs() {
    FakeOptions options;
    options.transcription_time = kChunk;
    return options;
  }
  absl::Duration TimeToIdle() {
    const absl::Time start = bench_.clock.Now();
    bench_.engine->RunUntilIdle();
    return bench_.clock.Now() - start;
  }
  // How long it takes to read so much speech from here.
  absl::Duration TimeToRead(double seconds) {
    Recorded<SpeechResult> speech;
    conversation_->AppendSpeech(Speech(seconds), speech.Done());
    const absl::Duration took = TimeToIdle();
    EXPECT_TRUE(speech.status().ok()) << speech.status();
    return took;
  }

  Bench bench_{Costs()};
  std::unique_ptr<Conversation> conversation_ = bench_.Start();
};

TEST_F(EarlyTranscriptionTest, WhatWasHeardIsNotTranscribedAgain) {
  EXPECT_EQ(TimeToRead(10), 10 * kChunk);
  conversation_->TranscribeEarly(Speech(8));
  EXPECT_EQ(TimeToIdle(), 8 * kChunk);
  EXPECT_EQ(TimeToRead(10), 2 * kChunk);
}

TEST_F(EarlyTranscriptionTest, TheResultSaysWhatWasWrittenEarly) {
  conversation_->TranscribeEarly(Speech(8));
  bench_.engine->RunUntilIdle();
  Recorded<SpeechResult> speech;
  conversation_->AppendSpeech(Speech(10), speech.Done());
  bench_.engine->RunUntilIdle();
  EXPECT_EQ(speech.result->value().transcript_tokens, 10);
  EXPECT_EQ(speech.result->value().transcript_tokens_early, 8);
}

TEST_F(EarlyTranscriptionTest, ItLeavesNoTraceInWhatIsSaid) {
  auto expected = bench_.Start();
  for (Conversation* each : {conversation_.get(), expected.get()}) {
    if (each == conversation_.get()) each->TranscribeEarly(Speech(4));
    bench_.engine->RunUntilIdle();
    each->AppendSpeech(Speech(5), kIgnore);
  }
  EXPECT_EQ(bench_.Ask(conversation_.get(), "Well?")->text(), bench_.Ask(expected.get(), "Well?")->text());
}

TEST_F(EarlyTranscriptionTest, TheNewestTakesThePlaceOfTheOneBeforeAndKeepsWhatItHas) {
  conversation_->TranscribeEarly(Speech(6));
  for (int chunk = 0; chunk < 4; ++chunk) bench_.engine->RunOnce();
  conversation_->TranscribeEarly(Speech(9));
  EXPECT_EQ(TimeToIdle(), 5 * kChunk);
}

TEST_F(EarlyTranscriptionTest, ReadingEndsItAndGoesOnFromThere) {
  conversation_->TranscribeEarly(Speech(6));
  for (int chunk = 0; chunk < 4; ++chunk) bench_.engine->RunOnce();
  EXPECT_EQ(TimeToRead(7), 3 * kChunk);
}

TEST_F(EarlyTranscriptionTest, ItIsOverWithTheTurn) {
  conversation_->TranscribeEarly(Speech(6));
  bench_.engine->RunUntilIdle();
  EXPECT_EQ(TimeToRead(6), kChunk);
  EXPECT_EQ(TimeToRead(6), 6 * kChunk);
}

TEST_F(EarlyTranscriptionTest, AnEmptyOneForgets) {
  conversation_->TranscribeEarly(Speech(6));
  bench_.engine->RunUntilIdle();
  conversation_->TranscribeEarly({});
  EXPECT_EQ(TimeToIdle(), absl::ZeroDuration());
  EXPECT_EQ(TimeToRead(6), 6 * kChunk);
}

TEST_F(EarlyTranscriptionTest, ASpeculationThatIsDroppedIsADraftToo) {
  const MarkId mark = conversation_->Speculate();
  conversation_->AppendSpeech(Speech(6), kIgnore);
  bench_.engine->RunUntilIdle();
  conversation_->Rewind(mark);
  EXPECT_EQ(TimeToRead(8), 2 * kChunk);
}

TEST_F(EarlyTranscriptionTest, ASpeculationThatIsDroppedHalfwayKeepsTheHalf) {
  const MarkId mark = conversation_->Speculate();
  conversation_->AppendSpeech(Speech(6), kIgnore);
  for (int chunk = 0; chunk < 4; ++chunk) bench_.engine->RunOnce();
  conversation_->Rewind(mark);
  EXPECT_EQ(TimeToRead(8), 4 * kChunk);
}

TEST_F(EarlyTranscriptionTest, OneThatIsAcceptedIsOver) {
  conversation_->Speculate();
  conversation_->AppendSpeech(Speech(6), kIgnore);
  bench_.engine->RunUntilIdle();
  conversation_->Promote();
  EXPECT_EQ(TimeToRead(6), 6 * kChunk);
}

TEST_F(EarlyTranscriptionTest, NobodyWaitsForIt) {
  auto other = bench_.Start();
  bench_.engine->RunUntilIdle();
  conversation_->TranscribeEarly(Speech(20));
  bench_.engine->RunOnce();
  Recorded<SpeechResult> speech;
  other->AppendSpeech(Speech(3), speech.Done());
  Recorded<FrameResult> frame;
  conversation_->AppendFrame(Colour(255, 0, 0), frame.Done());
  const absl::Time start = bench_.clock.Now();
  while (speech.calls == 0 || frame.calls == 0) bench_.engine->RunOnce();
  EXPECT_EQ(bench_.clock.Now() - start, 3 * kChunk);
  EXPECT_EQ(TimeToIdle(), 19 * kChunk);
}

TEST_F(EarlyTranscriptionTest, AnAnswerBegunAtAnothersPauseGoesFirst) {
  auto other = bench_.Start();
  bench_.engine->RunUntilIdle();
  conversation_->TranscribeEarly(Speech(20));
  for (int chunk = 0; chunk < 3; ++chunk) bench_.engine->RunOnce();
  other->Speculate();
  Recorded<SpeechResult> speech;
  other->AppendSpeech(Speech(3), speech.Done());
  const absl::Time start = bench_.clock.Now();
  while (speech.calls == 0) bench_.engine->RunOnce();
  EXPECT_EQ(bench_.clock.Now() - start, 3 * kChunk);
}

TEST_F(EarlyTranscriptionTest, ItIsNoLoadForTheLimitOfCalls) {
  const double before = bench_.engine->stats().conversation_load;
  conversation_->TranscribeEarly(Speech(100));
  bench_.engine->RunUntilIdle();
  EXPECT_LE(bench_.engine->stats().conversation_load, before);
  TimeToRead(100);
  EXPECT_GT(bench_.engine->stats().conversation_load, before);
}

TEST_F(EarlyTranscriptionTest, WhatFailsThereFailsNothing) {
  bench_.faults->FailNextTranscription(absl::InternalError("once"));
  conversation_->TranscribeEarly(Speech(6));
  bench_.engine->RunUntilIdle();
  EXPECT_EQ(TimeToRead(6), 6 * kChunk);
}

TEST_F(EarlyTranscriptionTest, AConversationThatEndsLeavesItBehind) {
  conversation_->TranscribeEarly(Speech(6));
  bench_.engine->RunOnce();
  conversation_.reset();
  EXPECT_EQ(TimeToIdle(), absl::ZeroDuration());
}

TEST(EarlyTranscriptionWithoutEarsTest, IsANoOp) {
  FakeOptions options;
  options.hears = false;
  Bench bench(options);
  auto conversation = bench.Start();
  conversation->TranscribeEarly(Speech(6));
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.Ask(conversation.get(), "Well?")->result().reason, FinishReason::kEndOfTurn);
}

}  // namespace
}  // namespace parley::engine

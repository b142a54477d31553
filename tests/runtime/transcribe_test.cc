// Transcribe as engine/api/conversation.h promises it, on the fake model in simulated time: a second of
// speech takes a chunk of 40 ms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "engine/api/conversation.h"
#include "tests/runtime/recording.h"

namespace parley::engine {
namespace {

const auto kIgnore = [](const auto&) {};
constexpr absl::Duration kChunk = absl::Milliseconds(40);

class TranscribeTest : public ::testing::Test {
 protected:
  TranscribeTest() { bench_.engine->RunUntilIdle(); }
  static FakeOptions Costs() {
    FakeOptions options;
    options.transcription_time = kChunk;
    return options;
  }

  Bench bench_{Costs()};
  std::unique_ptr<Conversation> conversation_ = bench_.Start();
};

TEST_F(TranscribeTest, WritesWhatReadingTheSpeechWouldAndLeavesNoTrace) {
  Recorded<SpeechResult> aside;
  conversation_->Transcribe(Speech(5), aside.Done());
  bench_.engine->RunUntilIdle();
  ASSERT_TRUE(aside.status().ok()) << aside.status();
  EXPECT_EQ(aside.calls, 1);
  EXPECT_EQ(aside.result->value().tokens, 0);
  Recorded<SpeechResult> read;
  auto other = bench_.Start();
  other->AppendSpeech(Speech(5), read.Done());
  bench_.engine->RunUntilIdle();
  EXPECT_EQ(aside.result->value().transcript, read.result->value().transcript);
  EXPECT_EQ(bench_.Ask(conversation_.get(), "Well?")->text(),
            bench_.Ask(bench_.Start().get(), "Well?")->text());
}

TEST_F(TranscribeTest, IsDoneWhileAnAnswerIsUnderWayWhichGoesOnUnchanged) {
  auto expected = std::make_shared<RecordedAnswer>();
  auto other = bench_.Start();
  other->AppendText("Hello", kIgnore);
  other->Answer({.max_tokens = 40}, expected);
  bench_.engine->RunUntilIdle();

  auto answer = std::make_shared<RecordedAnswer>();
  conversation_->AppendText("Hello", kIgnore);
  conversation_->Answer({.max_tokens = 40}, answer);
  while (answer->chunks().size() < 3) bench_.engine->RunOnce();
  Recorded<SpeechResult> aside;
  conversation_->Transcribe(Speech(2), aside.Done());
  for (int pass = 0; pass < 3 && aside.calls == 0; ++pass) bench_.engine->RunOnce();
  EXPECT_TRUE(aside.status().ok()) << aside.status();
  EXPECT_EQ(answer->done(), 0);
  bench_.engine->RunUntilIdle();
  EXPECT_EQ(answer->text(), expected->text());
}

TEST_F(TranscribeTest, TheNewestTakesThePlaceOfTheOneBefore) {
  Recorded<SpeechResult> first, second, third;
  conversation_->Transcribe(Speech(8), first.Done());
  bench_.engine->RunOnce();
  conversation_->Transcribe(Speech(9), second.Done());
  conversation_->Transcribe(Speech(3), third.Done());
  bench_.engine->RunUntilIdle();
  EXPECT_TRUE(absl::IsCancelled(first.status()));
  EXPECT_TRUE(absl::IsCancelled(second.status()));
  EXPECT_TRUE(third.status().ok());
  EXPECT_EQ(first.calls + second.calls + third.calls, 3);
}

TEST_F(TranscribeTest, WhatItWroteIsADraftOfTheTurn) {
  conversation_->Transcribe(Speech(8), kIgnore);
  bench_.engine->RunUntilIdle();
  const absl::Time start = bench_.clock.Now();
  conversation_->AppendSpeech(Speech(10), kIgnore);
  bench_.engine->RunUntilIdle();
  EXPECT_EQ(bench_.clock.Now() - start, 2 * kChunk);
}

TEST_F(TranscribeTest, OneThatFailsPoisonsNothing) {
  bench_.faults->FailNextTranscription(absl::InternalError("lost"));
  Recorded<SpeechResult> aside;
  conversation_->Transcribe(Speech(2), aside.Done());
  bench_.engine->RunUntilIdle();
  EXPECT_EQ(aside.status().message(), "lost");
  EXPECT_EQ(bench_.Ask(conversation_.get(), "Well?")->done(), 1);
}

TEST_F(TranscribeTest, CompletesWithCancelledWhereItsConversationGoes) {
  Recorded<SpeechResult> under_way, pending;
  conversation_->Transcribe(Speech(8), under_way.Done());
  bench_.engine->RunOnce();
  auto other = bench_.Start();
  other->Transcribe(Speech(8), pending.Done());
  conversation_.reset();
  other.reset();
  bench_.engine->RunUntilIdle();
  EXPECT_TRUE(absl::IsCancelled(under_way.status())) << under_way.status();
  EXPECT_TRUE(absl::IsCancelled(pending.status())) << pending.status();
}

TEST_F(TranscribeTest, NoSpeechHasNoWords) {
  Recorded<SpeechResult> aside;
  conversation_->Transcribe({}, aside.Done());
  bench_.engine->RunUntilIdle();
  ASSERT_TRUE(aside.status().ok());
  EXPECT_EQ(aside.result->value().transcript, "");
}

}  // namespace
}  // namespace parley::engine

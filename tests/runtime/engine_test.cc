// The engine as a whole: admission, statistics, warm-up, its thread.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/runtime/recording.h"

namespace parley::engine {
namespace {

using ::testing::HasSubstr;

const auto kIgnore = [](const auto&) {};

class NotifyingAnswer : public RecordedAnswer {
 public:
  void OnDone(const AnswerResult& result) override {
    RecordedAnswer::OnDone(result);
    finished.Notify();
  }
  absl::Notification finished;
};

TEST(EngineTest, OneConversationTooManyIsResourceExhaustedUntilOneIsFreed) {
  FakeOptions options;
  options.runtime.max_conversations = 2;
  Bench bench(options);
  auto first = bench.Start();
  auto second = bench.Start();
  EXPECT_EQ(bench.engine->StartConversation({}).status().code(), absl::StatusCode::kResourceExhausted);
  first.reset();
  bench.engine->RunUntilIdle();
  EXPECT_TRUE(bench.engine->StartConversation({}).ok());
}

TEST(EngineTest, InstructionsThatDoNotFitOrAreNotTextAreInvalid) {
  Bench bench;
  const absl::Status status =
      bench.engine->StartConversation({.instructions = std::string(9000, 'x')}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("8192"));
  EXPECT_EQ(bench.engine->StartConversation({.instructions = "\xFF"}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(bench.engine->stats().conversations, 0);
}

TEST(EngineTest, StatisticsCountStepsRowsAndTokens) {
  FakeOptions options;
  options.step_time = absl::Milliseconds(3);
  Bench bench(options);
  auto conversation = bench.Start();
  auto answer = bench.Ask(conversation.get(), "Hello?", {.max_tokens = 10});
  const EngineStats stats = bench.engine->stats();
  EXPECT_EQ(stats.conversations, 1);
  EXPECT_EQ(stats.generated_tokens, 10);
  EXPECT_EQ(stats.step_rows.sum(), answer->result().context_tokens);
  EXPECT_EQ(stats.prefilled_tokens, stats.step_rows.sum() - 9);  // the tenth goes in with the closing
  EXPECT_NEAR(stats.step_seconds.sum(), .003 * static_cast<double>(stats.step_seconds.count()), 1e-9);
  EXPECT_EQ(stats.step_seconds.counts()[1], stats.step_seconds.count());  // 2 to 5 ms
  EXPECT_EQ(stats.step_conversations.counts()[0], stats.step_seconds.count());
  EXPECT_EQ(stats.step_rows.counts()[0], 9);  // single tokens
  EXPECT_EQ(stats.queued_operations, 0);
}

TEST(EngineTest, WarmUpDoesATurnOfEveryKindAndLeavesNothing) {
  for (const bool senses : {true, false}) {
    FakeOptions options;
    options.hears = options.sees = senses;
    Bench bench(options);
    EXPECT_TRUE(bench.engine->WarmUp().ok());
    EXPECT_EQ(bench.engine->stats().generated_tokens, 4);
    bench.engine->RunUntilIdle();
    EXPECT_EQ(bench.engine->stats().conversations, 0);
  }
}

TEST(EngineTest, WarmUpReportsWhatFailed) {
  Bench bench;
  bench.faults->FailNextEncode(absl::DataLossError("vision weights"));
  EXPECT_EQ(bench.engine->WarmUp(), absl::DataLossError("vision weights"));
}

TEST(EngineTest, NoDecodingTokenWaitsForMoreThanOneEncoderPass) {
  FakeOptions options;
  options.answer_tokens = 40;
  options.step_time = absl::Milliseconds(10);
  options.encode_time = absl::Milliseconds(20);
  options.transcription_time = absl::Milliseconds(30);
  options.runtime.step.encoder_budget = absl::Milliseconds(30);
  Bench bench(options);
  auto talking = bench.Start();
  auto answer = std::make_shared<RecordedAnswer>();
  talking->AppendText("Talk.", kIgnore);
  talking->Answer({}, answer);
  while (answer->chunks().empty()) bench.engine->RunOnce();
  std::vector<std::unique_ptr<Conversation>> others;
  for (int i = 0; i < 10; ++i) {
    others.push_back(bench.Start());
    for (int k = 0; k < 5; ++k) others.back()->AppendFrame(Colour(1, 1, 1), kIgnore);
    others.back()->AppendSpeech(Speech(4), kIgnore);
  }
  absl::Time last = bench.clock.Now();
  int64_t made = bench.engine->stats().generated_tokens;
  while (answer->done() == 0) {
    ASSERT_TRUE(bench.engine->RunOnce());
    if (bench.engine->stats().generated_tokens == made) continue;
    made = bench.engine->stats().generated_tokens;
    EXPECT_LE(bench.clock.Now() - last, absl::Milliseconds(10 + 30));
    last = bench.clock.Now();
  }
}

TEST(EngineTest, ManyConversationsOnManyThreadsAllFinish) {
  FakeOptions options;
  LoadedFake fake = MakeFakeEngine(options, Clock::Real());
  ASSERT_TRUE(fake.engine->WarmUp().ok());
  std::vector<std::thread> threads;
  std::vector<std::string> texts(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 10; ++round) {
        auto conversation = fake.engine->StartConversation({}).value();
        conversation->AppendFrame(Colour(255, 0, 0), kIgnore);
        conversation->AppendSpeech(Speech(1.5), kIgnore);
        const MarkId mark = conversation->Mark();
        auto speculative = std::make_shared<NotifyingAnswer>();
        const AnswerId id = conversation->Answer({}, speculative);
        if (round % 2 == 0) conversation->CancelAnswer(id);
        conversation->Rewind(mark);
        auto answer = std::make_shared<NotifyingAnswer>();
        conversation->Answer({}, answer);
        conversation->AppendText("destroyed while this waits", kIgnore);
        answer->finished.WaitForNotification();
        speculative->finished.WaitForNotification();
        texts[t] = answer->text();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, texts[0]);
}

TEST(EngineTest, ConversationsDestroyedJustBeforeTheEngineCompleteOnItsWayOut) {
  auto answer = std::make_shared<NotifyingAnswer>();
  {
    FakeOptions options;
    options.answer_tokens = 5000;
    LoadedFake fake = MakeFakeEngine(options, Clock::Real());
    auto conversation = fake.engine->StartConversation({}).value();
    conversation->Answer({.max_tokens = 5000}, answer);
  }
  EXPECT_EQ(answer->done(), 1);
  EXPECT_EQ(answer->result().reason, FinishReason::kCancelled);
}

TEST(EngineTest, AStalledModelHoldsAnswersUntilItResumes) {
  FakeOptions options;
  options.faults = std::make_shared<FakeFaults>();
  LoadedFake fake = MakeFakeEngine(options, Clock::Real());
  options.faults->Stall();
  auto conversation = fake.engine->StartConversation({}).value();
  auto answer = std::make_shared<NotifyingAnswer>();
  conversation->Answer({}, answer);
  while (fake.engine->stats().pass_age < absl::Milliseconds(20)) std::this_thread::yield();
  EXPECT_EQ(answer->done(), 0);
  options.faults->Resume();
  answer->finished.WaitForNotification();
  EXPECT_EQ(answer->result().reason, FinishReason::kEndOfTurn);
  while (fake.engine->stats().pass_age > absl::ZeroDuration()) std::this_thread::yield();
}

}  // namespace
}  // namespace parley::engine

// What a conversation may hold, and what leaves when it is too much: shared system prompts, frames,
// compaction, pages. On the fake model in simulated time; its scores depend on every token held, its position
// and where pages begin, so that equal answers mean equal caches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "engine/schedule/page_table.h"
#include "tests/runtime/recording.h"

namespace parley::engine {
namespace {

using ::testing::HasSubstr;

const auto kIgnore = [](const auto&) {};

// "a red picture" and the like are 13 tokens or more, a separator one: a page each.
ImagePtr Red() { return Colour(255, 0, 0); }
ImagePtr Blue() { return Colour(0, 0, 255); }

// Frames leave in place, however small they are.
FakeOptions InPlace(FakeOptions options = {}) {
  options.runtime.context.reread_tokens = 0;
  return options;
}

struct Compactions {
  std::vector<Compaction> all;
  auto Listen() {
    return [this](const Compaction& compaction) { all.push_back(compaction); };
  }
};

std::unique_ptr<Conversation> Start(Bench& bench, ContextPolicy policy, Compactions* compactions = nullptr) {
  ConversationOptions options = {.context = policy};
  if (compactions != nullptr) options.on_compaction = compactions->Listen();
  return bench.engine->StartConversation(std::move(options)).value();
}

FakeOptions Pages(int64_t pages, int promised_tokens = 64) {
  FakeOptions options;
  options.kv_bytes = pages * kFakePageBytes;
  options.runtime.promised_tokens = promised_tokens;
  return options;
}

// ---- system prompts

TEST(SystemPromptTest, IsPrefilledOnceAndItsPagesAreShared) {
  FakeOptions unshared;
  unshared.runtime.cached_prompts = 0;
  Bench alone(unshared);
  Bench bench;
  const std::string instructions = "You answer in one word, and only when you are asked to.";
  std::string expected;
  for (int i = 0; i < 3; ++i) {
    const int64_t rows = bench.engine->stats().step_rows.sum();
    auto conversation = bench.Start(instructions);
    auto own = alone.Start(instructions);
    auto answer = bench.Ask(conversation.get(), "Who are you?");
    EXPECT_EQ(answer->chunks(), alone.Ask(own.get(), "Who are you?")->chunks());
    const int64_t system = 8 + static_cast<int64_t>(instructions.size()) + 2;  // a letter is a token
    const int64_t prefilled = bench.engine->stats().step_rows.sum() - rows;
    EXPECT_EQ(prefilled, answer->result().context_tokens - (i == 0 ? 0 : system));
    EXPECT_EQ(bench.engine->stats().kv_pages_shared, schedule::PagesOf(system));
    EXPECT_EQ(alone.engine->stats().kv_pages_shared, 0);
  }
}

TEST(SystemPromptTest, ConversationsThatOpenAtOnceShareItToo) {
  FakeOptions options;
  options.runtime.step.max_rows = 40;  // the prompt takes two steps
  Bench bench(options);
  std::vector<std::unique_ptr<Conversation>> conversations;
  for (int i = 0; i < 64; ++i) conversations.push_back(bench.Start("The instructions of all these calls."));
  bench.engine->RunUntilIdle();
  EXPECT_LT(bench.engine->stats().step_rows.sum(), 3 * 46);
  EXPECT_EQ(bench.engine->stats().kv_pages_in_use, 3);
  EXPECT_EQ(bench.engine->stats().kv_pages_shared, 3);
}

TEST(SystemPromptTest, OnlyTheLastOnesUsedAreKept) {
  FakeOptions options;
  options.runtime.cached_prompts = 2;
  Bench bench(options);
  const auto open = [&](std::string instructions) {
    const int64_t rows = bench.engine->stats().step_rows.sum();
    auto conversation = bench.Start(std::move(instructions));
    bench.engine->RunUntilIdle();
    return bench.engine->stats().step_rows.sum() > rows;  // prefilled it
  };
  EXPECT_TRUE(open("one"));
  EXPECT_TRUE(open("two"));
  EXPECT_FALSE(open("one"));
  EXPECT_TRUE(open("three"));
  EXPECT_FALSE(open("one"));
  EXPECT_TRUE(open("two"));
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().kv_pages_in_use, 2);
}

// ---- frames

TEST(FrameEvictionTest, OldFramesLeaveByFreeingTheirPagesAndNothingIsPrefilledAgain) {
  Bench bench(InPlace());
  auto conversation = Start(bench, {.max_frames = 3});
  conversation->AppendFrame(Red(), kIgnore);
  bench.Ask(conversation.get(), "What is it?");
  for (int i = 0; i < 2; ++i) conversation->AppendFrame(Blue(), kIgnore);
  bench.engine->RunUntilIdle();
  const int64_t pages = bench.engine->stats().kv_pages_in_use;
  int64_t tokens = 0;
  for (int i = 0; i < 10; ++i) {
    const int64_t rows = bench.engine->stats().step_rows.sum();
    conversation->AppendFrame(Blue(), [&](absl::StatusOr<FrameResult> frame) { tokens = frame->tokens; });
    bench.engine->RunUntilIdle();
    EXPECT_EQ(bench.engine->stats().step_rows.sum() - rows, tokens);
    EXPECT_EQ(bench.engine->stats().kv_pages_in_use, pages);
  }
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 10);
  // The model does not see the red one any more, and what it said of it it still does.
  bench.faults->FailConversationsHolding("red", absl::DataLossError("red is held"));
  auto answer = bench.Ask(conversation.get(), "And now?");
  EXPECT_EQ(answer->result().reason, FinishReason::kEndOfTurn);
  EXPECT_EQ(answer->result().turn_usage.frame_tokens, 12 * tokens - 1);  // the first has no separator
  bench.faults->FailConversationsHolding("What is it?", absl::DataLossError("the question is held"));
  EXPECT_EQ(bench.Ask(conversation.get(), "And now?")->result().status,
            absl::DataLossError("the question is held"));
}

TEST(FrameEvictionTest, FramesOfATurnInWhichSomethingIsAskedStay) {
  Bench bench(InPlace());
  auto conversation = Start(bench, {.max_frames = 1});
  conversation->AppendText("Look:", kIgnore);
  conversation->AppendFrame(Red(), kIgnore);
  conversation->AppendFrame(Blue(), kIgnore);
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 0);
  auto unlimited = Start(bench, {.max_frames = 100});
  unlimited->AppendText("Look:", kIgnore);
  unlimited->AppendFrame(Red(), kIgnore);
  unlimited->AppendFrame(Blue(), kIgnore);
  EXPECT_EQ(bench.Ask(conversation.get(), "Which?")->text(), bench.Ask(unlimited.get(), "Which?")->text());
  // In the next turn they are old.
  conversation->AppendFrame(Red(), kIgnore);
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 2);
}

TEST(FrameEvictionTest, AgeAndTokensCountToo) {
  Bench bench(InPlace());
  auto by_age = Start(bench, {.max_frame_age = absl::Seconds(10)});
  for (int i = 0; i < 4; ++i) {
    by_age->AppendFrame(Red(), kIgnore);
    bench.engine->RunUntilIdle();
    bench.clock.Advance(absl::Seconds(4));
  }
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 1);
  bench.clock.Advance(absl::Hours(1));
  bench.Ask(by_age.get(), "What do you see?");  // the newest stays, however old
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 3);

  auto by_tokens = Start(bench, {.max_frame_tokens = 40});
  for (int i = 0; i < 4; ++i) by_tokens->AppendFrame(Red(), kIgnore);
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 3 + 2);  // 13 + 3 x 14
}

TEST(FrameEvictionTest, RewindsPastForgottenFramesLeaveWhatWasBefore) {
  Bench bench(InPlace());
  auto conversation = Start(bench, {.max_frames = 2});
  conversation->AppendFrame(Red(), kIgnore);
  const MarkId first = conversation->Mark();
  conversation->AppendFrame(Blue(), kIgnore);
  const MarkId second = conversation->Mark();
  conversation->AppendFrame(Blue(), kIgnore);
  conversation->AppendFrame(Red(), kIgnore);
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 2);
  conversation->Rewind(second);  // after two that are forgotten
  conversation->AppendFrame(Red(), kIgnore);
  conversation->Rewind(second);
  auto nothing = bench.Ask(conversation.get(), "What is there?");
  EXPECT_EQ(nothing->result().reason, FinishReason::kEndOfTurn);
  conversation->Rewind(first);  // the second one was forgotten after it: now it was never there
  conversation->AppendFrame(Blue(), kIgnore);
  bench.faults->FailConversationsHolding("red", absl::DataLossError("red is held"));
  EXPECT_EQ(bench.Ask(conversation.get(), "What is there?")->result().reason, FinishReason::kEndOfTurn);
}

TEST(FrameEvictionTest, ACutAboveAForgottenFrameGivesTheConversationThatNeverHadIt) {
  Bench bench(InPlace());
  const auto talk = [&](bool frame) {
    auto conversation = Start(bench, {.max_frames = 1});
    bench.Ask(conversation.get(), "Hello?", {.max_tokens = 8});
    if (frame) conversation->AppendFrame(Red(), kIgnore);
    conversation->AppendFrame(Blue(), kIgnore);
    bench.engine->RunUntilIdle();
    conversation->TrimAnswer(1, 3);
    return bench.Ask(conversation.get(), "What is there?")->text();
  };
  // The first frame of a turn has no separator, which the second one then lacks in the other conversation:
  // both open with a word.
  const auto worded = [&](bool frame) {
    auto conversation = Start(bench, {.max_frames = 1});
    bench.Ask(conversation.get(), "Hello?", {.max_tokens = 8});
    conversation->AppendText("Look:", kIgnore);
    if (frame) conversation->AppendFrame(Red(), kIgnore);
    conversation->Answer({.max_tokens = 2}, std::make_shared<RecordedAnswer>());
    conversation->AppendFrame(Blue(), kIgnore);
    bench.engine->RunUntilIdle();
    conversation->TrimAnswer(2, 0);
    conversation->TrimAnswer(1, 3);
    return bench.Ask(conversation.get(), "What is there?")->text();
  };
  EXPECT_EQ(worded(true), worded(false));
  EXPECT_NE(talk(true), talk(false));
}

TEST(FrameEvictionTest, SmallFramesLeaveByHalvesAndWhatStaysIsReadAgain) {
  Bench bench;
  auto conversation = Start(bench, {.max_frames = 8});
  int tokens = 0;
  std::vector<int64_t> rows;
  std::vector<int64_t> pages;
  for (int i = 0; i < 17; ++i) {
    const int64_t before = bench.engine->stats().step_rows.sum();
    conversation->AppendFrame(i < 4 ? Red() : Blue(),
                              [&](absl::StatusOr<FrameResult> frame) { tokens = frame->tokens; });
    bench.engine->RunUntilIdle();
    rows.push_back(bench.engine->stats().step_rows.sum() - before);
    pages.push_back(bench.engine->stats().kv_pages_in_use);
  }
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 12);
  for (int i = 5; i < 17; ++i) {
    EXPECT_EQ(rows[i], (i == 8 || i == 12 || i == 16 ? 5 : 1) * tokens) << i;  // the ninth, and every fourth
  }
  EXPECT_EQ(pages[7], pages[11]);
  bench.faults->FailConversationsHolding("red", absl::DataLossError("red is held"));
  auto answer = bench.Ask(conversation.get(), "And now?");
  EXPECT_EQ(answer->result().reason, FinishReason::kEndOfTurn);
  // What left leaves no trace: the same is said after other frames that left.
  auto other = Start(bench, {.max_frames = 8});
  for (int i = 0; i < 13; ++i) {
    other->AppendFrame(Blue(), kIgnore);
    bench.engine->RunUntilIdle();
  }
  EXPECT_EQ(bench.Ask(other.get(), "And now?")->text(), answer->text());
}

TEST(FrameEvictionTest, LargeFramesAreNotReadAgain) {
  FakeOptions options;
  options.runtime.context.reread_tokens = 40;
  Bench bench(options);
  auto conversation = Start(bench, {.max_frames = 8});
  for (int i = 0; i < 12; ++i) conversation->AppendFrame(Red(), kIgnore);
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 4);
  const int64_t rows = bench.engine->stats().step_rows.sum();
  int tokens = 0;
  conversation->AppendFrame(Red(), [&](absl::StatusOr<FrameResult> frame) { tokens = frame->tokens; });
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().step_rows.sum() - rows, tokens);
}

// ---- compaction

TEST(CompactionTest, TheOldestTurnsAreDroppedAndTheCallGoesOnForHours) {
  FakeOptions options;
  options.context_tokens = 2048;
  Bench bench(InPlace(options));
  Compactions compactions;
  auto conversation = Start(bench, {.max_frames = 8}, &compactions);
  int64_t most_pages = 0;
  for (int second = 0; second < 3600; ++second) {
    bench.clock.Advance(absl::Seconds(1));
    conversation->AppendFrame(
        Colour(static_cast<uint8_t>(second), 0, 0),
        [](absl::StatusOr<FrameResult> frame) { ASSERT_TRUE(frame.ok()) << frame.status(); });
    if (second % 20 == 19) {
      auto answer = bench.Ask(conversation.get(), second < 20 ? "My first question" : "What do you see?");
      ASSERT_EQ(answer->result().reason, FinishReason::kEndOfTurn) << second;
      ASSERT_LE(answer->result().context_tokens, 2048);
    }
    bench.engine->RunUntilIdle();
    if (second > 1800) most_pages = std::max(most_pages, bench.engine->stats().kv_pages_in_use);
  }
  EXPECT_GT(compactions.all.size(), 20u);
  EXPECT_GE(bench.engine->stats().compactions, static_cast<int64_t>(compactions.all.size()));
  EXPECT_LE(most_pages, 2048 / 16);
  for (const Compaction& compaction : compactions.all) {
    EXPECT_EQ(compaction.reason, Compaction::Reason::kContextLimit);
    EXPECT_LE(compaction.tokens_after, 512 + 200);
    EXPECT_LE(compaction.tokens_after, compaction.tokens_before);
  }
  // The instructions are still there, the first question is not.
  bench.faults->FailConversationsHolding("My first question", absl::DataLossError("held"));
  EXPECT_TRUE(bench.Ask(conversation.get(), "Well?")->result().status.ok());
  bench.faults->FailConversationsHolding("You are a fake.", absl::DataLossError("held"));
  EXPECT_EQ(bench.Ask(conversation.get(), "Well?")->result().status, absl::DataLossError("held"));
}

TEST(CompactionTest, ASilentCameraRunsForHours) {
  FakeOptions options;
  options.context_tokens = 1024;
  Bench bench(InPlace(options));
  Compactions compactions;
  auto conversation = Start(bench, {.max_frames = 8}, &compactions);
  int64_t pages = 0;
  for (int second = 0; second < 3600; ++second) {
    conversation->AppendFrame(Red(), [](const auto& frame) { ASSERT_TRUE(frame.ok()) << frame.status(); });
    bench.engine->RunUntilIdle();
    if (second == 8) pages = bench.engine->stats().kv_pages_in_use;
    if (second > 8) {
      ASSERT_EQ(bench.engine->stats().kv_pages_in_use, pages);
    }
  }
  EXPECT_EQ(bench.engine->stats().frames_forgotten, 3600 - 8);
  EXPECT_GT(bench.engine->stats().compactions, 10);  // closing the gaps
  EXPECT_TRUE(compactions.all.empty());
  EXPECT_EQ(bench.Ask(conversation.get(), "What do you see?")->result().reason, FinishReason::kEndOfTurn);
}

TEST(CompactionTest, HappensBetweenTurnsWhereItCan) {
  FakeOptions options;
  options.context_tokens = 1024;
  Bench bench(options);
  Compactions compactions;
  auto conversation = Start(bench, {}, &compactions);
  int turns = 0;
  while (compactions.all.empty()) {
    ASSERT_EQ(bench.Ask(conversation.get(), std::string(70, 'q'), {.max_tokens = 40})->done(), 1);
    ++turns;
  }
  // It had not asked for anything, and is prefilled again already.
  const Compaction& compaction = compactions.all.front();
  EXPECT_GT(compaction.tokens_before, 1024 * 3 / 4);
  EXPECT_LE(compaction.tokens_after, 256);
  EXPECT_GT(compaction.turns_dropped, turns / 2);
  const int64_t rows = bench.engine->stats().step_rows.sum();
  auto answer = bench.Ask(conversation.get(), "And?");
  EXPECT_EQ(answer->result().context_tokens,
            compaction.tokens_after + answer->result().turn_usage.text_tokens +
                answer->result().turn_usage.template_tokens + answer->result().answer_tokens);
  // Rows of this turn, and the closing of the one before.
  EXPECT_LT(bench.engine->stats().step_rows.sum() - rows, 64);
}

TEST(CompactionTest, AnAnswerThatNeedsTheRoomGetsIt) {
  FakeOptions options;
  options.context_tokens = 512;
  options.answer_tokens = 300;
  Bench bench(options);
  Compactions compactions;
  auto conversation = Start(bench, {}, &compactions);
  bench.Ask(conversation.get(), std::string(100, 'a'), {.max_tokens = 100});
  EXPECT_TRUE(compactions.all.empty());
  auto answer = bench.Ask(conversation.get(), "Tell me more.", {.max_tokens = 280});
  EXPECT_EQ(answer->result().reason, FinishReason::kMaxTokens);
  EXPECT_EQ(answer->result().answer_tokens, 280);
  ASSERT_EQ(compactions.all.size(), 1u);
  EXPECT_EQ(compactions.all[0].turns_dropped, 1);
}

TEST(CompactionTest, MarksInWhatWasDroppedStandAtItsPlace) {
  FakeOptions options;
  options.context_tokens = 512;
  Bench bench(options);
  Compactions compactions;
  auto conversation = Start(bench, {}, &compactions);
  bench.Ask(conversation.get(), "One?", {.max_tokens = 30});
  const MarkId old = conversation->Mark();
  conversation->AppendText("begun", kIgnore);
  const MarkId inside = conversation->Mark();
  while (compactions.all.empty()) bench.Ask(conversation.get(), std::string(60, 'q'), {.max_tokens = 30});
  const MarkId recent = conversation->Mark();
  bench.Ask(conversation.get(), "Speculation.", {.max_tokens = 30});
  conversation->Rewind(recent);
  auto kept = bench.Ask(conversation.get(), "Last?", {.max_tokens = 30});
  EXPECT_EQ(kept->result().context_tokens - compactions.all[0].tokens_after,
            kept->result().answer_tokens + kept->result().turn_usage.text_tokens +
                kept->result().turn_usage.template_tokens);
  // Everything since the old marks is gone: a conversation that has only its instructions.
  auto fresh = bench.Start();
  const std::string expected = bench.Ask(fresh.get(), "Again?")->text();
  conversation->Rewind(inside);
  EXPECT_EQ(bench.Ask(conversation.get(), "Again?")->text(), expected);
  conversation->Rewind(old);
  EXPECT_EQ(bench.Ask(conversation.get(), "Again?")->text(), expected);
}

// ---- pages

TEST(PagesTest, AConversationWhosePromiseCannotBeKeptIsRefused) {
  // The system prompt takes two pages, the promise four more: three conversations, at first.
  Bench bench(Pages(20));
  std::vector<std::unique_ptr<Conversation>> conversations;
  for (int i = 0; i < 3; ++i) conversations.push_back(bench.Start());
  const absl::Status status = bench.engine->StartConversation({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("of 20 pages 0 are in use and 18 promised"));
  // Once they share their prompt there is room for a fourth.
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().kv_pages_in_use, 2);
  conversations.push_back(bench.Start());
  EXPECT_EQ(bench.engine->StartConversation({}).status().code(), absl::StatusCode::kResourceExhausted);
  conversations.pop_back();
  bench.engine->RunUntilIdle();
  EXPECT_TRUE(bench.engine->StartConversation({}).ok());
}

TEST(PagesTest, AFullPoolTakesTheOldestFramesOfWhoAsksThenTurnsThenRefuses) {
  Bench bench(Pages(40));
  Compactions compactions;
  auto conversation = Start(bench, {.max_frames = 1000}, &compactions);
  auto other = bench.Start();
  const std::string before = bench.Ask(other.get(), "Hm?")->text();

  // Frames first: all there is room for, and no more, without a refusal.
  for (int turn = 0; turn < 2; ++turn) {
    for (int i = 0; i < 20; ++i) {
      conversation->AppendFrame(Blue(), [](const auto& frame) { EXPECT_TRUE(frame.ok()) << frame.status(); });
    }
    EXPECT_EQ(bench.Ask(conversation.get(), "So?")->result().reason, FinishReason::kEndOfTurn);
  }
  EXPECT_GT(bench.engine->stats().frames_forgotten, 4);
  EXPECT_LE(bench.engine->stats().kv_pages_in_use, 40);
  EXPECT_TRUE(compactions.all.empty());

  // Then turns.
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(bench.Ask(conversation.get(), std::string(100, 'q'))->result().reason,
              FinishReason::kEndOfTurn);
  }
  ASSERT_FALSE(compactions.all.empty());
  EXPECT_EQ(compactions.all[0].reason, Compaction::Reason::kMemory);
  EXPECT_GT(compactions.all[0].turns_dropped, 0);

  // A turn that is too much by itself is refused, and only that.
  Recorded<TextResult> large;
  conversation->AppendText(std::string(700, 'q'), large.Done());
  bench.engine->RunUntilIdle();
  EXPECT_EQ(large.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(large.status().message()), HasSubstr("KV cache"));
  EXPECT_EQ(bench.Ask(conversation.get(), "Still there?")->result().reason, FinishReason::kEndOfTurn);

  // The other one never lost anything.
  Bench quiet;
  auto undisturbed = quiet.Start();
  EXPECT_EQ(quiet.Ask(undisturbed.get(), "Hm?")->text(), before);
  EXPECT_EQ(bench.Ask(other.get(), "What did I say?")->text(),
            quiet.Ask(undisturbed.get(), "What did I say?")->text());
}

TEST(PagesTest, AFullPoolDoesNotDisturbTheOthersOfTheStep) {
  FakeOptions options = Pages(24, 16 * 9);  // one promise is eleven pages with its prompt
  Bench bench(options);
  auto greedy = bench.Start();
  auto modest = bench.Start();
  bench.engine->RunUntilIdle();
  Recorded<TextResult> refused;
  auto answer = std::make_shared<RecordedAnswer>();
  modest->AppendText(std::string(90, 'm'), kIgnore);
  modest->Answer({.max_tokens = 20}, answer);
  greedy->AppendText(std::string(1000, 'g'), refused.Done());
  bench.engine->RunUntilIdle();
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(answer->result().reason, FinishReason::kMaxTokens);
  EXPECT_EQ(bench.Ask(greedy.get(), "Sorry.")->result().reason, FinishReason::kEndOfTurn);
}

TEST(PagesTest, AnAnswerThatRunsOutOfPagesEndsWithWhatItHas) {
  FakeOptions options = Pages(12, 16);
  options.answer_tokens = 1000;
  Bench bench(options);
  auto conversation = bench.Start();
  auto answer = bench.Ask(conversation.get(), "Tell me everything.", {.max_tokens = 1000});
  EXPECT_EQ(answer->result().reason, FinishReason::kContextFull);
  EXPECT_EQ(answer->result().status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(answer->result().answer_tokens, 80);
  EXPECT_FALSE(answer->text().empty());
  // It is not lost: the next turn takes the place of this one.
  EXPECT_EQ(bench.Ask(conversation.get(), "Short, please.", {.max_tokens = 5})->result().reason,
            FinishReason::kMaxTokens);
}

TEST(PagesTest, AConversationThatIsGoneLeavesNoPageBehind) {
  Bench bench(Pages(200));
  bench.Ask(bench.Start().get(), "Hm?");
  bench.engine->RunUntilIdle();
  const int64_t prompt = bench.engine->stats().kv_pages_in_use;
  for (int round = 0; round < 20; ++round) {
    std::vector<std::unique_ptr<Conversation>> conversations;
    for (int i = 0; i < 5; ++i) {
      conversations.push_back(bench.Start());
      conversations.back()->AppendFrame(Red(), kIgnore);
      const MarkId mark = conversations.back()->Mark();
      conversations.back()->AppendText("Hello?", kIgnore);
      const AnswerId answer = conversations.back()->Answer({}, std::make_shared<RecordedAnswer>());
      for (int pass = 0; pass < round; ++pass) bench.engine->RunOnce();
      if (i % 2 == 0) conversations.back()->CancelAnswer(answer);
      if (i % 3 == 0) conversations.back()->Rewind(mark);
    }
  }
  bench.engine->RunUntilIdle();
  EXPECT_EQ(bench.engine->stats().kv_pages_in_use, prompt);
  EXPECT_EQ(bench.engine->stats().kv_pages_shared, 0);
  EXPECT_EQ(bench.engine->stats().conversations, 0);
}

}  // namespace
}  // namespace parley::engine

// The sentences of engine/api/conversation.h, one by one, on the fake model in simulated time.
#include "engine/api/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/text/utf8.h"
#include "tests/runtime/recording.h"

namespace parley::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const auto kIgnore = [](const auto&) {};

TEST(ConversationTest, AnAnswerIsStreamedInWholeCharactersAndEndsItself) {
  Bench bench;
  auto conversation = bench.Start();
  auto answer = bench.Ask(conversation.get(), "Hello?");
  ASSERT_EQ(answer->done(), 1);
  EXPECT_EQ(answer->result().reason, FinishReason::kEndOfTurn);
  EXPECT_EQ(answer->result().answer_tokens, 24);
  int last = 0;
  for (const auto& [text, tokens] : answer->chunks()) {
    EXPECT_TRUE(text::IsValidUtf8(text)) << text;
    EXPECT_GT(tokens, last);
    last = tokens;
  }
  EXPECT_EQ(last, 24);
}

TEST(ConversationTest, TheSameConversationGivesTheSameAnswerAndAnotherHistoryAnother) {
  Bench bench;
  auto first = bench.Start();
  auto second = bench.Start();
  const std::string a = bench.Ask(first.get(), "One?")->text();
  EXPECT_EQ(bench.Ask(second.get(), "One?")->text(), a);
  const std::string b = bench.Ask(first.get(), "Two?")->text();
  EXPECT_EQ(bench.Ask(second.get(), "Two?")->text(), b);
  auto third = bench.Start();
  EXPECT_NE(bench.Ask(third.get(), "Two?")->text(), b);  // the history counts
  auto instructed = bench.Start("Sing.");
  EXPECT_NE(bench.Ask(instructed.get(), "One?")->text(), a);
}

TEST(ConversationTest, AnAnswerDoesNotDependOnWhoElseIsInTheBatch) {
  std::vector<std::string> alone;
  for (int i = 0; i < 8; ++i) {
    Bench bench;
    auto conversation = bench.Start();
    alone.push_back(bench.Ask(conversation.get(), std::string(20 * i + 1, 'q'), {.temperature = 1})->text());
  }
  FakeOptions options;
  options.runtime.step = {.max_rows = 50, .max_prefill_rows = 20, .max_decodes = 3};
  Bench bench(options);
  std::vector<std::unique_ptr<Conversation>> conversations;
  std::vector<std::shared_ptr<RecordedAnswer>> answers;
  for (int i = 0; i < 8; ++i) {
    conversations.push_back(bench.Start());
    conversations[i]->AppendText(std::string(20 * i + 1, 'q'), kIgnore);
    answers.push_back(std::make_shared<RecordedAnswer>());
    conversations[i]->Answer({.temperature = 1}, answers[i]);
  }
  bench.engine->RunUntilIdle();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(answers[i]->text(), alone[i]) << i;
}

TEST(ConversationTest, PiecewiseGivesTheSameTokensAsAllAtOnce) {
  const auto talk = [](bool piecewise, int max_rows) {
    FakeOptions options;
    options.runtime.step.max_rows = max_rows;
    Bench bench(options);
    auto conversation = bench.Start();
    std::string answers;
    for (int turn = 0; turn < 3; ++turn) {
      const auto pause = [&] {
        if (piecewise) bench.engine->RunUntilIdle();
      };
      pause();
      conversation->AppendFrame(Colour(255, 0, 0), kIgnore);
      pause();
      conversation->AppendFrame(Colour(0, 0, 255), kIgnore);
      pause();
      conversation->AppendSpeech(Speech(2.5), kIgnore);
      pause();
      answers += bench.Ask(conversation.get(), "and typed", {.temperature = 0.8f, .seed = 3})->text() + "|";
    }
    return answers;
  };
  const std::string at_once = talk(false, 1000);
  EXPECT_EQ(talk(true, 1000), at_once);
  EXPECT_EQ(talk(true, 3), at_once);
  EXPECT_EQ(talk(false, 1), at_once);
}

TEST(ConversationTest, WhatIsInTheCacheIsNeverPrefilledAgain) {
  Bench bench;
  auto conversation = bench.Start();
  for (int turn = 0; turn < 4; ++turn) {
    conversation->AppendFrame(Colour(0, 255, 0), kIgnore);
    auto answer = bench.Ask(conversation.get(), "What now?");
    const EngineStats stats = bench.engine->stats();
    EXPECT_EQ(stats.step_rows.sum(),
              answer->result().context_tokens);  // each token went through the model once
  }
}

TEST(ConversationTest, CompletionsComeOnceAndInOrderWithWhatEnteredThePrompt) {
  FakeOptions options;
  options.encode_time = absl::Milliseconds(5);
  options.transcription_time = absl::Milliseconds(7);
  options.step_time = absl::Milliseconds(2);
  Bench bench(options);
  auto conversation = bench.Start();
  bench.engine->RunUntilIdle();
  std::vector<std::string> order;
  conversation->AppendFrame(Colour(250, 5, 5), [&](absl::StatusOr<FrameResult> frame) {
    order.push_back(frame->description);
    // The turn's opening (<|im_start|>user\n) is of the first part.
    EXPECT_EQ(frame->tokens, 6 + 13);
    EXPECT_EQ(frame->times.encode_end - frame->times.encode_start, absl::Milliseconds(5));
    EXPECT_EQ(frame->times.prefill_end - frame->times.prefill_start, absl::Milliseconds(2));
  });
  conversation->AppendSpeech(Speech(3.2), [&](absl::StatusOr<SpeechResult> speech) {
    order.push_back(speech->transcript);
    EXPECT_EQ(speech->language, "en");
    EXPECT_EQ(speech->times.encode_end - speech->times.encode_start, absl::Milliseconds(4 * 7));
  });
  conversation->AppendText("hm", [&](absl::StatusOr<TextResult> text) {
    order.push_back("text");
    EXPECT_EQ(text->tokens, 3);  // a separator before it
  });
  bench.engine->RunUntilIdle();
  EXPECT_THAT(order, ElementsAre("a red picture", "3.2 seconds of speech", "text"));
}

TEST(ConversationTest, UsageIsCountedByModality) {
  Bench bench;
  auto conversation = bench.Start();
  for (int turn = 0; turn < 2; ++turn) {
    conversation->AppendFrame(Colour(255, 0, 0), kIgnore);  // "a red picture"
    conversation->AppendSpeech(Speech(1), kIgnore);         // " 1.0 seconds of speech"
    auto answer = bench.Ask(conversation.get(), "hm");      // " hm"
    const Usage usage = answer->result().turn_usage;
    EXPECT_EQ(usage.frame_tokens, 13);
    EXPECT_EQ(usage.speech_tokens, 22);
    EXPECT_EQ(usage.text_tokens, 3);
    EXPECT_EQ(usage.answer_tokens, answer->result().answer_tokens);
    EXPECT_EQ(usage.template_tokens, 6 + (1 + 1 + 1 + 10) + 2);
  }
}

TEST(ConversationTest, AnswerTimesAreOnTheEnginesClock) {
  FakeOptions options;
  options.step_time = absl::Milliseconds(10);
  Bench bench(options);
  auto conversation = bench.Start();
  bench.engine->RunUntilIdle();
  auto answer = bench.Ask(conversation.get(), "?", {.max_tokens = 3});
  const AnswerResult& result = answer->result();
  EXPECT_EQ(result.prefill_start - result.queued, absl::Milliseconds(10));  // the text's prefill
  EXPECT_EQ(result.prefill_end - result.prefill_start, absl::Milliseconds(10));
  EXPECT_EQ(result.first_token, result.prefill_end);
  EXPECT_EQ(result.last_token - result.first_token, absl::Milliseconds(20));
}

TEST(ConversationTest, AnAnswerEndsAtItsTokenLimit) {
  Bench bench;
  auto conversation = bench.Start();
  auto answer = bench.Ask(conversation.get(), "Hello?", {.max_tokens = 5});
  EXPECT_EQ(answer->result().reason, FinishReason::kMaxTokens);
  EXPECT_EQ(answer->result().answer_tokens, 5);
}

TEST(ConversationTest, AnAnswerEndsBeforeItsFirstStopStringInHistoryToo) {
  Bench bench;
  auto plain = bench.Start();
  const std::string whole = bench.Ask(plain.get(), "Hello?")->text();
  const std::string stop = whole.substr(whole.find(' ', whole.size() / 2) + 1, 6);  // across two words
  auto conversation = bench.Start();
  auto answer = bench.Ask(conversation.get(), "Hello?", {.stop = {stop}});
  EXPECT_EQ(answer->result().reason, FinishReason::kStopString);
  EXPECT_EQ(answer->text(), whole.substr(0, whole.find(stop)));
  EXPECT_EQ(answer->chunks().back().second, answer->result().answer_tokens);
  EXPECT_EQ(answer->result().turn_usage.answer_tokens, answer->result().answer_tokens);

  // History holds the kept tokens only: the same as an answer cut there.
  auto cut = bench.Start();
  cut->AppendText("Hello?", kIgnore);
  const AnswerId id = cut->Answer({}, std::make_shared<RecordedAnswer>());
  cut->TrimAnswer(id, answer->result().answer_tokens);
  EXPECT_EQ(bench.Ask(cut.get(), "And?")->text(), bench.Ask(conversation.get(), "And?")->text());
}

TEST(ConversationTest, LaterOperationsWaitUntilTheAnswerIsDone) {
  Bench bench;
  auto conversation = bench.Start();
  auto answer = std::make_shared<RecordedAnswer>();
  conversation->Answer({}, answer);
  bool appended = false;
  conversation->AppendText("later", [&](const auto&) {
    appended = true;
    EXPECT_EQ(answer->done(), 1);
  });
  bench.engine->RunUntilIdle();
  EXPECT_TRUE(appended);
}

TEST(ConversationTest, ACancelledAnswerStopsAtTheNextTokenAndKeepsWhatWasMade) {
  Bench bench;
  auto conversation = bench.Start();
  conversation->AppendText("Hello?", kIgnore);
  auto answer = std::make_shared<RecordedAnswer>();
  const AnswerId id = conversation->Answer({}, answer);
  while (answer->chunks().size() < 4) ASSERT_TRUE(bench.engine->RunOnce());
  const int64_t made = bench.engine->stats().generated_tokens;
  conversation->CancelAnswer(id);
  bench.engine->RunUntilIdle();
  ASSERT_EQ(answer->done(), 1);
  EXPECT_EQ(answer->result().reason, FinishReason::kCancelled);
  EXPECT_TRUE(answer->result().status.ok());
  EXPECT_EQ(bench.engine->stats().generated_tokens, made);
  EXPECT_EQ(answer->result().answer_tokens, made);

  // The same as an answer of that length: closed, with its tokens in history.
  auto limited = bench.Start();
  bench.Ask(limited.get(), "Hello?", {.max_tokens = answer->result().answer_tokens});
  EXPECT_EQ(bench.Ask(conversation.get(), "Go on.")->text(), bench.Ask(limited.get(), "Go on.")->text());

  conversation->CancelAnswer(id);    // done
  conversation->CancelAnswer(1000);  // unknown
  bench.engine->RunUntilIdle();
  EXPECT_EQ(answer->done(), 1);
}

TEST(ConversationTest, AnAnswerCancelledBeforeItsFirstTokenLeavesNoTrace) {
  Bench bench;
  auto plain = bench.Start();
  plain->AppendText("One", kIgnore);
  const std::string expected = bench.Ask(plain.get(), "two?")->text();
  for (const int passes : {0, 1, 4, 5}) {
    FakeOptions options;
    options.runtime.step.max_rows = 10;  // the prompt takes several steps
    Bench slow(options);
    auto conversation = slow.Start();
    conversation->AppendText("One", kIgnore);
    auto cancelled = std::make_shared<RecordedAnswer>();
    const AnswerId id = conversation->Answer({}, cancelled);
    for (int i = 0; i < passes; ++i) slow.engine->RunOnce();
    ASSERT_TRUE(cancelled->chunks().empty());
    conversation->CancelAnswer(id);
    EXPECT_EQ(slow.Ask(conversation.get(), "two?")->text(), expected) << passes;
    EXPECT_EQ(cancelled->result().reason, FinishReason::kCancelled);
    EXPECT_EQ(cancelled->result().answer_tokens, 0);
    EXPECT_EQ(cancelled->result().first_token, absl::InfiniteFuture());
  }
}

TEST(ConversationTest, ATrimmedAnswerIsCutInHistoryAndWhatFollowedIsKept) {
  Bench bench;
  auto trimmed = bench.Start();
  trimmed->AppendText("Hello?", kIgnore);
  const AnswerId id = trimmed->Answer({}, std::make_shared<RecordedAnswer>());
  trimmed->AppendText("More.", kIgnore);
  bench.engine->RunUntilIdle();
  trimmed->TrimAnswer(id, 7);
  const std::string got = bench.Ask(trimmed.get(), "So?")->text();

  auto expected = bench.Start();
  bench.Ask(expected.get(), "Hello?", {.max_tokens = 7});
  expected->AppendText("More.", kIgnore);
  EXPECT_EQ(got, bench.Ask(expected.get(), "So?")->text());
}

TEST(ConversationTest, TrimmingIsClampedAndAnUnknownAnswerIsANoOp) {
  Bench bench;
  auto conversation = bench.Start();
  auto answer = bench.Ask(conversation.get(), "Hello?");
  conversation->TrimAnswer(1, 1'000'000);
  conversation->TrimAnswer(99, 0);
  bench.engine->RunUntilIdle();
  auto plain = bench.Start();
  bench.Ask(plain.get(), "Hello?");
  EXPECT_EQ(bench.Ask(conversation.get(), "So?")->text(), bench.Ask(plain.get(), "So?")->text());

  conversation->TrimAnswer(1, -5);
  conversation->TrimAnswer(2, 0);
  auto last = bench.Ask(conversation.get(), "Well?");
  EXPECT_EQ(last->result().reason, FinishReason::kEndOfTurn);
}

TEST(ConversationTest, RewindForgetsEverythingSinceTheMark) {
  Bench bench;
  auto conversation = bench.Start();
  bench.Ask(conversation.get(), "Hello?");
  conversation->AppendText("I think", kIgnore);
  const MarkId mark = conversation->Mark();
  for (int i = 0; i < 2; ++i) {  // the mark stays
    conversation->AppendFrame(Colour(1, 2, 3), kIgnore);
    bench.Ask(conversation.get(), "nothing.");
    conversation->Rewind(mark);
  }
  const std::string got = bench.Ask(conversation.get(), "a lot.")->text();

  auto plain = bench.Start();
  bench.Ask(plain.get(), "Hello?");
  plain->AppendText("I think", kIgnore);
  EXPECT_EQ(got, bench.Ask(plain.get(), "a lot.")->text());
}

TEST(ConversationTest, OperationsBetweenMarkAndRewindThatAreNotCompleteAreCancelled) {
  Bench bench;
  auto conversation = bench.Start();
  bench.Ask(conversation.get(), "Hello?");
  const MarkId mark = conversation->Mark();
  conversation->AppendSpeech(Speech(10), kIgnore);
  auto speculative = std::make_shared<RecordedAnswer>();
  conversation->Answer({}, speculative);
  while (speculative->chunks().size() < 2) ASSERT_TRUE(bench.engine->RunOnce());
  Recorded<FrameResult> frame;
  Recorded<TextResult> before;
  conversation->AppendFrame(Colour(1, 2, 3), frame.Done());
  auto queued = std::make_shared<RecordedAnswer>();
  conversation->Answer({}, queued);
  const MarkId inner = conversation->Mark();
  conversation->Rewind(mark);
  conversation->Rewind(inner);  // gone with the outer rewind
  conversation->Rewind(77);
  conversation->AppendText("After", before.Done());
  bench.engine->RunUntilIdle();
  EXPECT_EQ(speculative->result().reason, FinishReason::kCancelled);
  EXPECT_EQ(frame.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(queued->result().reason, FinishReason::kCancelled);
  EXPECT_TRUE(before.status().ok());

  auto plain = bench.Start();
  bench.Ask(plain.get(), "Hello?");
  plain->AppendText("After", kIgnore);
  EXPECT_EQ(bench.Ask(conversation.get(), "all.")->text(), bench.Ask(plain.get(), "all.")->text());
}

TEST(ConversationTest, ACutOfAnEarlierAnswerOutlivesARewind) {
  Bench bench;
  auto conversation = bench.Start();
  bench.Ask(conversation.get(), "Hello?");
  const MarkId mark = conversation->Mark();
  conversation->AppendText("Hm", kIgnore);
  conversation->TrimAnswer(1, 3);
  conversation->Rewind(mark);
  auto plain = bench.Start();
  bench.Ask(plain.get(), "Hello?", {.max_tokens = 3});
  EXPECT_EQ(bench.Ask(conversation.get(), "So?")->text(), bench.Ask(plain.get(), "So?")->text());
}

TEST(ConversationTest, AFailedOperationPoisonsItsConversationOnly) {
  Bench bench;
  auto failing = bench.Start();
  auto other = bench.Start();
  bench.faults->FailConversationsHolding("poison", absl::DataLossError("bad weights"));
  Recorded<TextResult> text;
  Recorded<FrameResult> frame;
  Recorded<SpeechResult> speech;
  auto answer = std::make_shared<RecordedAnswer>();
  auto healthy = std::make_shared<RecordedAnswer>();
  other->AppendText("fine", kIgnore);
  other->Answer({}, healthy);
  failing->AppendText("poison", text.Done());
  failing->AppendFrame(Colour(0, 0, 0), frame.Done());
  failing->AppendSpeech(Speech(1), speech.Done());
  failing->Answer({}, answer);
  bench.engine->RunUntilIdle();
  for (const absl::Status& status :
       {text.status(), frame.status(), speech.status(), answer->result().status}) {
    EXPECT_EQ(status, absl::DataLossError("bad weights"));
  }
  EXPECT_EQ(answer->result().reason, FinishReason::kFailed);
  EXPECT_EQ(healthy->result().reason, FinishReason::kEndOfTurn);
  Recorded<TextResult> later;
  failing->AppendText("x", later.Done());
  bench.engine->RunUntilIdle();
  EXPECT_EQ(later.status(), absl::DataLossError("bad weights"));
  failing.reset();
  EXPECT_EQ(bench.Ask(other.get(), "still?")->result().reason, FinishReason::kEndOfTurn);
}

TEST(ConversationTest, EncoderFailuresAndAFailureInMidAnswerAreNamed) {
  Bench bench;
  {
    auto conversation = bench.Start();
    Recorded<FrameResult> frame;
    bench.faults->FailNextEncode(absl::InternalError("encoder"));
    conversation->AppendFrame(Colour(0, 0, 0), frame.Done());
    bench.engine->RunUntilIdle();
    EXPECT_EQ(frame.status(), absl::InternalError("encoder"));
  }
  {
    auto conversation = bench.Start();
    Recorded<SpeechResult> speech;
    bench.faults->FailNextTranscription(absl::InternalError("ears"));
    conversation->AppendSpeech(Speech(1), speech.Done());
    bench.engine->RunUntilIdle();
    EXPECT_EQ(speech.status(), absl::InternalError("ears"));
  }
  auto conversation = bench.Start();
  auto answer = std::make_shared<RecordedAnswer>();
  conversation->Answer({}, answer);
  while (answer->chunks().size() < 3) ASSERT_TRUE(bench.engine->RunOnce());
  bench.faults->FailNextStep(absl::UnavailableError("device"));
  bench.engine->RunUntilIdle();
  EXPECT_EQ(answer->done(), 1);
  EXPECT_EQ(answer->result().reason, FinishReason::kFailed);
  EXPECT_EQ(answer->result().status, absl::UnavailableError("device"));
}

TEST(ConversationTest, ARefusedOperationChangesNothing) {
  FakeOptions options;
  options.sees = options.hears = false;
  Bench blind(options);
  Bench bench;
  const auto code = [](Bench& on, auto append) {
    auto conversation = on.Start();
    absl::Status status = absl::UnknownError("not called");
    append(conversation.get(), [&](const auto& result) { status = result.status(); });
    on.engine->RunUntilIdle();
    auto plain = on.Start();
    EXPECT_EQ(on.Ask(conversation.get(), "Well?")->text(), on.Ask(plain.get(), "Well?")->text());
    return status.code();
  };
  using absl::StatusCode;
  EXPECT_EQ(code(blind, [](auto* c, auto done) { c->AppendFrame(Colour(1, 1, 1), done); }),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(blind, [](auto* c, auto done) { c->AppendSpeech(Speech(1), done); }),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(bench, [](auto* c, auto done) { c->AppendText("\xFF", done); }),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code(bench, [](auto* c, auto done) { c->AppendFrame(nullptr, done); }),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code(bench,
                 [](auto* c, auto done) {
                   auto image = std::make_shared<Image>();
                   image->width = 1000;
                   image->height = 1000;
                   c->AppendFrame(image, done);
                 }),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code(bench, [](auto* c, auto done) { c->AppendText(std::string(10'000, 'x'), done); }),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(code(bench, [](auto* c, auto done) { c->AppendText(" \n", done); }), StatusCode::kOk);
  EXPECT_EQ(code(bench, [](auto* c, auto done) { c->AppendSpeech({}, done); }), StatusCode::kOk);
}

TEST(ConversationTest, AFullQueueRefusesInOrderAndTheConversationGoesOn) {
  FakeOptions options;
  options.runtime.max_queued_operations = 4;
  Bench bench(options);
  auto conversation = bench.Start();
  std::vector<absl::StatusCode> codes;
  for (int i = 0; i < 6; ++i) {
    conversation->AppendText("a", [&](const auto& result) { codes.push_back(result.status().code()); });
  }
  auto answer = std::make_shared<RecordedAnswer>();
  conversation->Answer({}, answer);
  bench.engine->RunUntilIdle();
  using absl::StatusCode;
  EXPECT_THAT(codes, ElementsAre(StatusCode::kOk, StatusCode::kOk, StatusCode::kOk, StatusCode::kOk,
                                 StatusCode::kResourceExhausted, StatusCode::kResourceExhausted));
  EXPECT_EQ(answer->result().status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(bench.Ask(conversation.get(), "Now?")->result().reason, FinishReason::kEndOfTurn);
}

TEST(ConversationTest, AFullContextIsAFinishReasonAndARefusalNeverACrash) {
  FakeOptions options;
  options.context_tokens = 256;
  options.answer_tokens = 1000;
  Bench bench(options);
  auto conversation = bench.Start();
  auto answer = bench.Ask(conversation.get(), "Hello?", {.max_tokens = 1000});
  EXPECT_EQ(answer->result().reason, FinishReason::kContextFull);
  EXPECT_EQ(answer->result().context_tokens, 256);
  // A turn that does not fit beside the system prompt is refused; the next one does, in place of the first.
  Recorded<TextResult> text;
  conversation->AppendText(std::string(240, 'x'), text.Done());
  bench.engine->RunUntilIdle();
  EXPECT_EQ(text.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(bench.Ask(conversation.get(), "And now?")->result().answer_tokens, 0);
  // One that leaves little room gets a short answer.
  Recorded<TextResult> large;
  conversation->AppendText(std::string(170, 'x'), large.Done());
  auto none = std::make_shared<RecordedAnswer>();
  conversation->Answer({}, none);
  bench.engine->RunUntilIdle();
  EXPECT_TRUE(large.status().ok()) << large.status();
  EXPECT_EQ(none->result().reason, FinishReason::kContextFull);
  EXPECT_GT(none->result().answer_tokens, 0);
}

TEST(ConversationTest, DestructionCancelsEverythingAndFreesTheStateWithinOneStep) {
  Bench bench;
  auto conversation = bench.Start();
  auto answer = std::make_shared<RecordedAnswer>();
  conversation->AppendText("Hello?", kIgnore);
  conversation->Answer({}, answer);
  Recorded<FrameResult> frame;
  conversation->AppendFrame(Colour(9, 9, 9), frame.Done());
  while (answer->chunks().size() < 2) ASSERT_TRUE(bench.engine->RunOnce());
  EXPECT_GT(bench.engine->stats().kv_bytes, 0);
  conversation.reset();
  EXPECT_EQ(answer->done(), 0);  // it does not wait
  bench.engine->RunOnce();
  EXPECT_EQ(answer->done(), 1);
  EXPECT_EQ(answer->result().reason, FinishReason::kCancelled);
  EXPECT_EQ(frame.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(frame.calls, 1);
  EXPECT_EQ(bench.engine->stats().conversations, 0);
  // The system prompt stays, for the next one.
  EXPECT_EQ(bench.engine->stats().kv_pages_in_use, 2);
  EXPECT_EQ(bench.engine->stats().kv_pages_shared, 0);
  EXPECT_EQ(bench.engine->stats().queued_operations, 0);
}

TEST(ConversationTest, DestructionInMidTranscriptionFreesItWithinOneStep) {
  Bench bench;
  auto conversation = bench.Start();
  Recorded<SpeechResult> speech;
  conversation->AppendSpeech(Speech(30), speech.Done());
  for (int i = 0; i < 3; ++i) bench.engine->RunOnce();
  conversation.reset();
  bench.engine->RunOnce();
  EXPECT_EQ(speech.status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(bench.engine->RunOnce());
}

}  // namespace
}  // namespace parley::engine

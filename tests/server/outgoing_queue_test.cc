#include "server/outgoing_queue.h"

#include <gtest/gtest.h>

#include <string>

namespace parley::server {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

v1::ServerMessage Token(uint64_t response, const std::string& text, uint32_t tokens, uint64_t epoch = 1) {
  v1::ServerMessage message;
  message.set_epoch(epoch);
  message.set_response_id(response);
  message.mutable_token()->set_text(text);
  message.mutable_token()->set_tokens(tokens);
  return message;
}

v1::ServerMessage Pong(uint64_t nonce) {
  v1::ServerMessage message;
  message.mutable_pong()->set_nonce(nonce);
  return message;
}

TEST(OutgoingQueue, GivesMessagesInOrderWithTheirSeq) {
  OutgoingQueue queue({});
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(queue.Push(Pong(i)));
  for (uint64_t i = 1; i <= 3; ++i) {
    const auto message = queue.Pop(kStart);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->seq(), i);
    EXPECT_EQ(message->pong().nonce(), i);
  }
  EXPECT_FALSE(queue.Pop(kStart).has_value());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(OutgoingQueue, TokensAreMergedOnlyFromHalfOfTheBoundOn) {
  OutgoingQueue queue({.max_messages = 4});
  EXPECT_TRUE(queue.Push(Token(1, "a", 1)));
  EXPECT_TRUE(queue.Push(Token(1, "b", 2)));
  EXPECT_EQ(queue.messages(), 2u);
  EXPECT_TRUE(queue.Push(Token(1, "c", 3)));
  EXPECT_TRUE(queue.Push(Token(1, "d", 4)));
  EXPECT_EQ(queue.messages(), 2u);
  EXPECT_EQ(queue.Pop(kStart)->token().text(), "a");
  const auto merged = queue.Pop(kStart);
  EXPECT_EQ(merged->token().text(), "bcd");
  EXPECT_EQ(merged->token().tokens(), 4u);
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(OutgoingQueue, TokensOfAnotherAnswerOrEpochAreNotMerged) {
  OutgoingQueue queue({.max_messages = 2});
  EXPECT_TRUE(queue.Push(Token(1, "a", 1)));
  EXPECT_TRUE(queue.Push(Token(2, "b", 1)));
  EXPECT_FALSE(queue.Push(Token(3, "c", 1)));
  EXPECT_FALSE(queue.Push(Token(2, "c", 2, /*epoch=*/2)));
}

TEST(OutgoingQueue, TokensNeverPassTheEndOfTheirAnswer) {
  OutgoingQueue queue({.max_messages = 2});
  EXPECT_TRUE(queue.Push(Token(1, "a", 1)));
  v1::ServerMessage done;
  done.set_response_id(1);
  done.mutable_response_done();
  EXPECT_TRUE(queue.Push(done));
  EXPECT_FALSE(queue.Push(Token(1, "b", 2)));
}

TEST(OutgoingQueue, RefusesWhatPassesABoundButNeverTheLastMessage) {
  OutgoingQueue few({.max_messages = 1});
  EXPECT_TRUE(few.Push(Pong(1)));
  EXPECT_FALSE(few.Push(Pong(2)));
  few.PushLast(Pong(3));
  EXPECT_EQ(few.messages(), 2u);

  OutgoingQueue small({.max_messages = 100, .max_bytes = 64});
  EXPECT_FALSE(small.Push(Token(1, std::string(100, 'x'), 1)));
  EXPECT_TRUE(small.Push(Token(1, std::string(30, 'x'), 1)));
  EXPECT_FALSE(small.Push(Token(1, std::string(60, 'x'), 2))) << "merged text counts too";
}

TEST(OutgoingQueue, UnsentTokensOfAnInterruptedAnswerLeave) {
  OutgoingQueue queue({});
  queue.Push(Token(1, "a", 1));
  queue.Push(Pong(1));
  queue.Push(Token(2, "b", 1));
  queue.Push(Token(1, "c", 2));
  queue.DropTokens(1);
  EXPECT_TRUE(queue.Pop(kStart)->has_pong());
  const auto left = queue.Pop(kStart);
  EXPECT_EQ(left->token().text(), "b");
  EXPECT_EQ(left->seq(), 2u) << "what left does not count";
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(OutgoingQueue, MetricsCountToTheMomentTheFirstTokenWentOut) {
  OutgoingQueue queue({});
  streaming::TurnTimes times;
  times.end_decided = kStart;
  times.first_token = kStart + absl::Milliseconds(30);
  queue.Push(Token(7, "a", 1));
  queue.Push(Token(7, "b", 2));
  v1::ServerMessage envelope;
  envelope.set_response_id(7);
  EXPECT_TRUE(queue.PushMetrics(envelope, times));
  queue.Pop(kStart + absl::Milliseconds(50));
  queue.Pop(kStart + absl::Milliseconds(90));
  const auto metrics = queue.Pop(kStart + absl::Milliseconds(95));
  EXPECT_EQ(metrics->metrics().first_write_us(), 20'000u);
  EXPECT_EQ(metrics->metrics().response_latency_us(), 50'000u);
}

TEST(OutgoingQueue, MetricsOfATurnWithoutAnAnswerHaveNoLatency) {
  OutgoingQueue queue({});
  queue.Push(Token(1, "a", 1));
  queue.Pop(kStart);
  streaming::TurnTimes times;
  times.end_decided = kStart;
  v1::ServerMessage envelope;
  envelope.set_turn_id(2);
  queue.PushMetrics(envelope, times);
  EXPECT_EQ(queue.Pop(kStart + absl::Seconds(1))->metrics().response_latency_us(), 0u);
}

}  // namespace
}  // namespace parley::server

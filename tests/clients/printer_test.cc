#include "clients/cpp/parley_call/printer.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace parley::client {
namespace {

using ::testing::HasSubstr;

class PrinterTest : public testing::Test {
 protected:
  std::string Print(PrinterOptions options, const std::vector<v1::ServerMessage>& events) {
    std::ostringstream out;
    Printer printer(out, options, &clock_);
    for (const v1::ServerMessage& event : events) {
      printer.Print(event);
      clock_.Advance(absl::Milliseconds(250));
    }
    printer.PrintEnd(absl::OkStatus());
    return out.str();
  }

  static v1::ServerMessage Ready() {
    v1::ServerMessage event;
    event.mutable_ready()->set_call_id("c1");
    event.mutable_ready()->mutable_model()->set_bundle("tiny");
    return event;
  }
  static v1::ServerMessage Transcript(const std::string& text) {
    v1::ServerMessage event;
    event.mutable_transcript()->set_text(text);
    return event;
  }
  static v1::ServerMessage Token(const std::string& text) {
    v1::ServerMessage event;
    event.mutable_token()->set_text(text);
    return event;
  }
  static v1::ServerMessage Done() {
    v1::ServerMessage event;
    event.mutable_response_done()->set_finish_reason(v1::ResponseDone::END_OF_TURN);
    return event;
  }
  static v1::ServerMessage Seen(const std::string& description) {
    v1::ServerMessage event;
    event.mutable_input_status()->set_outcome(v1::InputStatus::ENCODED);
    event.mutable_input_status()->set_description(description);
    return event;
  }

  SimulatedClock clock_;
};

TEST_F(PrinterTest, WhoWaitsForAPlaceSeesWhere) {
  v1::ServerMessage waits;
  waits.mutable_admission()->set_position(2);
  v1::ServerMessage next;
  next.mutable_admission()->set_position(1);
  next.mutable_admission()->set_estimated_wait_ms(12'400);
  const std::string text = Print({}, {waits, next, Ready()});
  EXPECT_THAT(text, HasSubstr("the server is full; place 2 in the queue\n"));
  EXPECT_THAT(text, HasSubstr("place 1 in the queue, about 12 s\n"));
}

TEST_F(PrinterTest, ATurnReadsAsADialogueWithTimes) {
  const std::string text = Print({}, {Ready(), Transcript("Who?"), Token("Me"), Token("."), Done()});
  EXPECT_THAT(text, HasSubstr("   0.25 s  you     Who?\n"));
  EXPECT_THAT(text, HasSubstr("   0.50 s  parley  Me.\n"));
  EXPECT_THAT(text, HasSubstr("ended properly; 0 turns"));
}

TEST_F(PrinterTest, LinesOfOtherEventsDoNotBreakAnAnswer) {
  const std::string text = Print({}, {Ready(), Token("one "), Seen("A cat."), Token("two"), Done()});
  EXPECT_THAT(text, HasSubstr("parley  one two\n"));
  EXPECT_LT(text.find("one two"), text.find("A cat."));
}

TEST_F(PrinterTest, JsonIsOneObjectAnEventWithTheProtosFieldNames) {
  std::istringstream lines(Print({.json = true}, {Ready(), Token("a \"quoted\"\nword"), Done()}));
  std::vector<nlohmann::json> objects;
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_EQ(objects[0]["ready"]["call_id"], "c1");
  EXPECT_EQ(objects[1]["token"]["text"], "a \"quoted\"\nword");
  EXPECT_EQ(objects[2]["response_done"]["finish_reason"], "END_OF_TURN");
}

TEST_F(PrinterTest, ACompactionIsToldToWhoAsksForDetails) {
  v1::ServerMessage event;
  event.mutable_context_compacted()->set_reason(v1::ContextCompacted::CONTEXT_LIMIT);
  event.mutable_context_compacted()->set_turns_dropped(7);
  event.mutable_context_compacted()->set_tokens_before(7000);
  event.mutable_context_compacted()->set_tokens_after(2000);
  EXPECT_THAT(Print({.verbose = true}, {Ready(), event}),
              HasSubstr("context 7 oldest turns forgotten: 7000 tokens, now 2000 (context limit)"));
  EXPECT_THAT(Print({}, {Ready(), event}), ::testing::Not(HasSubstr("forgotten")));
}

TEST_F(PrinterTest, TimingSaysWhereTheTimeOfATurnWent) {
  v1::TurnMetrics metrics;
  metrics.set_response_latency_us(412'000);
  metrics.set_endpoint_us(510'000);
  metrics.set_speech_ms(1'900);
  metrics.set_answer_tokens(8);
  metrics.set_generation_us(140'000);
  const std::string line = TimingLine(3, metrics);
  EXPECT_THAT(line, HasSubstr("turn 3: first token 412 ms after the end of turn was decided"));
  EXPECT_THAT(line, HasSubstr("decided 510 ms after 1.9 s of speech"));
  EXPECT_THAT(line, HasSubstr("8 tokens, 50/s"));
}

TEST_F(PrinterTest, TimingSaysWhatWasTranscribedWhileTheUserSpoke) {
  v1::TurnMetrics metrics;
  metrics.set_transcript_tokens(41);
  EXPECT_THAT(TimingLine(1, metrics), testing::Not(HasSubstr("transcript")));
  metrics.set_transcript_tokens_early(33);
  EXPECT_THAT(TimingLine(1, metrics), HasSubstr("; 33 of 41 transcript tokens written early"));
}

TEST_F(PrinterTest, TimingSaysWhatWasBegunAtAPause) {
  v1::TurnMetrics metrics;
  metrics.set_response_latency_us(150);
  metrics.set_speculation(v1::TurnMetrics::HIT);
  metrics.set_speculations(1);
  metrics.set_held_us(48'000);
  EXPECT_THAT(TimingLine(1, metrics),
              HasSubstr("first token 0 ms after the end of turn was decided, ready 48 ms before it"));
  EXPECT_THAT(TimingLine(1, metrics), testing::Not(HasSubstr("begun")));
  metrics.set_speculations(2);
  metrics.set_wasted_tokens(9);
  EXPECT_THAT(TimingLine(1, metrics), HasSubstr("; begun 2 times, 9 tokens wasted"));
  metrics.set_speculation(v1::TurnMetrics::MISS);
  EXPECT_THAT(TimingLine(1, metrics), HasSubstr("; begun 2 times in vain, 9 tokens wasted"));
}

}  // namespace
}  // namespace parley::client

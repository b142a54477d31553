#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "clients/cpp/parley_load/latency_histogram.h"
#include "clients/cpp/parley_load/load_run.h"
#include "clients/cpp/parley_load/options.h"
#include "clients/cpp/parley_load/turn_log.h"

namespace parley::client {
namespace {

TEST(LatencyHistogram, QuantilesAreWithinOnePerCent) {
  LatencyHistogram histogram;
  std::vector<double> us;
  std::mt19937 random(1);
  std::lognormal_distribution<double> latency(11, 2);  // around 60 ms, with a long tail
  for (int i = 0; i < 20'000; ++i) {
    us.push_back(std::floor(std::min(latency(random), 3.5e9)));
    histogram.Record(absl::Microseconds(us.back()));
  }
  std::sort(us.begin(), us.end());
  for (double q : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double exact = us[static_cast<size_t>(std::ceil(q * static_cast<double>(us.size()))) - 1];
    EXPECT_NEAR(absl::ToDoubleMicroseconds(histogram.Quantile(q)), exact, 0.01 * exact + 1) << q;
  }
  EXPECT_EQ(histogram.Quantile(1), histogram.max());
}

TEST(LatencyHistogram, TakesWhatIsOutOfRangeAndMerges) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Quantile(0.5), absl::ZeroDuration());
  histogram.Record(absl::Milliseconds(-5));
  histogram.Record(absl::Hours(5));
  histogram.Record(absl::InfiniteDuration());
  LatencyHistogram other;
  other.Record(absl::Milliseconds(7));
  histogram.Merge(other);
  EXPECT_EQ(histogram.count(), 4);
  EXPECT_EQ(histogram.max(), absl::Hours(1));
  EXPECT_EQ(histogram.Quantile(0.25), absl::ZeroDuration());
  EXPECT_NEAR(absl::ToDoubleMilliseconds(histogram.Quantile(0.5)), 7, 0.07);
}

class TurnLogTest : public testing::Test {
 protected:
  TurnLogTest() {
    v1::ServerMessage ready;
    ready.mutable_ready()->mutable_config()->mutable_turn()->set_silence_ms(400);
    log_.Observe(ready, start_);
  }
  v1::ServerMessage OfTurn(uint64_t id) {
    v1::ServerMessage event;
    event.set_turn_id(id);
    return event;
  }
  void Token(uint64_t turn, const char* text, absl::Duration after) {
    v1::ServerMessage event = OfTurn(turn);
    event.mutable_token()->set_text(text);
    log_.Observe(event, start_ + after);
  }
  void Done(uint64_t turn, v1::ResponseDone::FinishReason reason) {
    v1::ServerMessage event = OfTurn(turn);
    event.mutable_response_done()->set_finish_reason(reason);
    log_.Observe(event, start_ + absl::Seconds(100));
  }

  const absl::Time start_ = absl::FromUnixSeconds(1'000);
  TurnLog log_{start_, start_ + absl::Seconds(10), 48'000};
};

TEST_F(TurnLogTest, LatencyCountsFromWhenTheSilenceShouldHaveEndedTheTurn) {
  v1::ServerMessage stopped = OfTurn(1);
  stopped.mutable_speech_stopped()->set_sample_index(96'000);
  log_.Observe(stopped, start_ + absl::Seconds(9));  // however late the server says so
  v1::ServerMessage committed = OfTurn(1);
  committed.mutable_turn_committed();
  log_.Observe(committed, start_ + absl::Seconds(9));
  Token(1, "Par", absl::Milliseconds(9'100));
  Token(1, "is", absl::Milliseconds(9'130));
  Done(1, v1::ResponseDone::END_OF_TURN);
  ASSERT_EQ(log_.Turns().size(), 1u);
  const TurnOutcome turn = log_.Turns()[0];
  EXPECT_TRUE(turn.answered);
  EXPECT_EQ(turn.answer, "Paris");
  EXPECT_EQ(turn.first_token_latency(), absl::Milliseconds(9'100 - 2'400));
  EXPECT_THAT(turn.gaps, testing::ElementsAre(absl::Milliseconds(30)));
}

TEST_F(TurnLogTest, ARecordingThatEndsInTheSilenceEndsTheTurn) {
  v1::ServerMessage stopped = OfTurn(1);
  stopped.mutable_speech_stopped()->set_sample_index(48'000 * 99 / 10);
  log_.Observe(stopped, start_ + absl::Seconds(10));
  Token(1, "x", absl::Milliseconds(10'020));
  ASSERT_EQ(log_.Turns().size(), 1u);
  EXPECT_EQ(log_.Turns()[0].first_token_latency(), absl::Milliseconds(20));
}

TEST_F(TurnLogTest, ATurnThatWasCutOffIsNotAnswered) {
  Token(1, "x", absl::Seconds(3));
  Done(1, v1::ResponseDone::INTERRUPTED);
  ASSERT_EQ(log_.Turns().size(), 1u);
  EXPECT_FALSE(log_.Turns()[0].answered);
}

TEST_F(TurnLogTest, NoiseIsNoTurn) {
  v1::ServerMessage stopped = OfTurn(1);
  stopped.mutable_speech_stopped()->set_sample_index(1);
  log_.Observe(stopped, start_);
  EXPECT_TRUE(log_.Turns().empty());
}

TEST(LoadResult, MeetsTheObjectiveOnlyWithEnoughTurnsInsideAndNoFailures) {
  const Objective objective;
  LoadResult result;
  EXPECT_FALSE(result.Meets(objective)) << "nothing was measured";
  result.turns = 200;
  result.turns_inside = 198;
  EXPECT_TRUE(result.Meets(objective));
  result.turns_inside = 197;
  EXPECT_FALSE(result.Meets(objective));
  result.turns_inside = 200;
  for (int i = 0; i < 100; ++i) result.token_gap.Record(absl::Milliseconds(i < 98 ? 10 : 150));
  EXPECT_FALSE(result.Meets(objective));
  result.token_gap = {};
  result.failures["INTERNAL: x"] = 1;
  EXPECT_FALSE(result.Meets(objective));
}

TEST(LoadOptions, NameTheObjectiveInMilliseconds) {
  const char* argv[] = {"parley-load", "--file", "a.wav", "--first-token-ms", "150", "--duration", "5"};
  int exit_code = -1;
  const auto options = ParseLoadOptions(7, argv, &exit_code);
  ASSERT_TRUE(options.has_value());
  EXPECT_EQ(options->load.objective.first_token, absl::Milliseconds(150));
  EXPECT_EQ(options->load.duration, absl::Seconds(5));
  const char* wrong[] = {"parley-load", "--calls", "3"};
  EXPECT_FALSE(ParseLoadOptions(3, wrong, &exit_code).has_value());
  EXPECT_EQ(exit_code, 2);
}

}  // namespace
}  // namespace parley::client

#include "bench/harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace parley::bench {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

constexpr Pace kNoRest = {.rest = std::chrono::milliseconds(0)};

Figure Example() {
  Figure figure = {.suite = "decode", .name = "batch_4", .ours = 300, .unit = "tokens/s"};
  figure.peer = 100;
  figure.peer_name = "a \"peer\"\n of \xff bytes";
  figure.limit = 900;
  figure.setting["threads"] = 2;
  return figure;
}

TEST(JsonLine, IsOneObjectOnOneLineWithEveryField) {
  const std::string line = JsonLine(Example());
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const nlohmann::json json = nlohmann::json::parse(line);
  EXPECT_EQ(json["suite"], "decode");
  EXPECT_EQ(json["figure"], "batch_4");
  EXPECT_EQ(json["ours"], 300);
  EXPECT_EQ(json["peer"], 100);
  EXPECT_EQ(json["ratio"], 3);
  EXPECT_EQ(json["unit"], "tokens/s");
  EXPECT_EQ(json["better"], "higher");
  EXPECT_EQ(json["limit"], 900);
  EXPECT_EQ(json["setting"]["threads"], 2);
  EXPECT_EQ(json["peer_name"], "a \"peer\"\n of \xEF\xBF\xBD bytes");
  EXPECT_FALSE(json["cpu"].get<std::string>().empty());
}

TEST(JsonLine, SaysNullWhereThereIsNoPeerAndNoLimit) {
  Figure figure = Example();
  figure.peer.reset();
  figure.limit.reset();
  const nlohmann::json json = nlohmann::json::parse(JsonLine(figure));
  for (const char* key : {"peer", "peer_name", "ratio", "limit"}) {
    ASSERT_TRUE(json.contains(key)) << key;
    EXPECT_TRUE(json[key].is_null()) << key;
  }
}

TEST(JsonLine, SaysNullForTheRatioToAPeerThatManagesNothing) {
  Figure figure = Example();
  figure.peer = 0;
  const nlohmann::json json = nlohmann::json::parse(JsonLine(figure));
  EXPECT_EQ(json["peer"], 0);
  EXPECT_TRUE(json["ratio"].is_null());
}

TEST(Ratio, IsAboveOneWhereOursIsBetterWhicheverWayTheUnitRuns) {
  Figure figure = Example();
  EXPECT_DOUBLE_EQ(Ratio(figure), 3);
  figure.better = Better::kLower;
  EXPECT_DOUBLE_EQ(Ratio(figure), 1.0 / 3);
}

TEST(Median, IsTheMiddleOrTheMeanOfTheTwo) {
  EXPECT_DOUBLE_EQ(Median({5, 1, 3}), 3);
  EXPECT_DOUBLE_EQ(Median({4, 1, 3, 100}), 3.5);
}

TEST(Alternate, RunsTheSidesInTurnsAndDropsTheFirstRound) {
  std::string order;
  int a = 0;
  const absl::StatusOr<std::vector<double>> medians = Alternate({[&]() -> absl::StatusOr<double> {
                                                                   order += 'a';
                                                                   return a++ == 0 ? 1000 : a;
                                                                 },
                                                                 [&]() -> absl::StatusOr<double> {
                                                                   order += 'b';
                                                                   return 7;
                                                                 }},
                                                                kNoRest);
  ASSERT_TRUE(medians.ok()) << medians.status();
  EXPECT_EQ(order, "abababababab");
  EXPECT_THAT(*medians, ElementsAre(DoubleEq(4), DoubleEq(7)));
}

TEST(Alternate, EndsWithTheFirstError) {
  EXPECT_EQ(Alternate({[]() -> absl::StatusOr<double> { return absl::DataLossError("gone"); }}, kNoRest)
                .status()
                .code(),
            absl::StatusCode::kDataLoss);
}

TEST(Compare, CountsTheBestPeerAndDoesNotRunAHopelessOneAgain) {
  std::vector<int> runs(4, 0);
  const auto side = [&runs](size_t index, double value) -> bench::Run {
    return [&runs, index, value]() -> absl::StatusOr<double> {
      ++runs[index];
      return value;
    };
  };
  const auto higher = Compare(side(0, 50), {side(1, 20), side(2, 25), side(3, 10)}, Better::kHigher, kNoRest);
  ASSERT_TRUE(higher.ok()) << higher.status();
  EXPECT_EQ(higher->ours, 50);
  EXPECT_EQ(higher->best, 1u);
  EXPECT_THAT(higher->peers, ElementsAre(20, 25, 10));
  EXPECT_THAT(runs, ElementsAre(1 + kRounds, 1 + kRounds, 1 + kRounds, 1));

  const auto lower = Compare(side(0, 50), {side(1, 20), side(2, 25), side(3, 10)}, Better::kLower, kNoRest);
  ASSERT_TRUE(lower.ok()) << lower.status();
  EXPECT_EQ(lower->best, 2u);
}

}  // namespace
}  // namespace parley::bench

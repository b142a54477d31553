#include "engine/text/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace parley::engine::text {
namespace {

using ::testing::ElementsAre;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TokenId Pick(const GenerationConfig& config, std::vector<float> logits, std::vector<TokenId> answer = {}) {
  return Sampler(config).Sample(absl::MakeSpan(logits), answer).value();
}

// How often each token is drawn over many places of an answer.
std::vector<double> Shares(const GenerationConfig& config, const std::vector<float>& logits) {
  constexpr int kDraws = 20'000;
  std::vector<double> shares(logits.size());
  Sampler sampler(config);
  std::vector<TokenId> answer;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> scores = logits;
    const TokenId token = sampler.Sample(absl::MakeSpan(scores), answer).value();
    answer.push_back(token);
    shares[token] += 1.0 / kDraws;
  }
  return shares;
}

TEST(SamplerTest, GreedyTakesTheHighestScoreAndOfEqualsTheLowestId) { EXPECT_EQ(Pick({}, {1, 3, 3, 2}), 1); }

TEST(SamplerTest, ScoresThatAreNotNumbersAreNeverChosen) {
  for (const float temperature : {0.0f, 1.0f, 0.001f, 1e-30f}) {
    for (const float top_p : {1.0f, 0.5f, 0.0f}) {
      const GenerationConfig config{.temperature = temperature, .top_p = top_p};
      EXPECT_EQ(Pick(config, {kNan, -kInfinity, 5, kNan}), 2);
      EXPECT_EQ(Pick(config, {kNan, 1, kInfinity}), 2);
    }
  }
  for (std::vector<float> none : {std::vector<float>{kNan, -kInfinity}, std::vector<float>{}}) {
    EXPECT_EQ(Sampler({}).Sample(absl::MakeSpan(none), {}).status().code(), absl::StatusCode::kInternal);
  }
}

TEST(SamplerTest, TheSameSeedGivesTheSameTokensOnEveryMachine) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7919) % 1000) * 0.004f;
  const auto draw = [&](uint64_t seed, GenerationConfig config) {
    config.temperature = 1;
    config.seed = seed;
    Sampler sampler(config);
    std::vector<TokenId> answer;
    for (int i = 0; i < 6; ++i) {
      std::vector<float> scores = logits;
      answer.push_back(sampler.Sample(absl::MakeSpan(scores), answer).value());
    }
    return answer;
  };
  // Written down once: a change here is a change of what a seed means to users.
  EXPECT_THAT(draw(7, {}), ElementsAre(719, 239, 275, 421, 557, 533));
  EXPECT_THAT(draw(7, {.top_k = 50, .top_p = 0.9f}), ElementsAre(272, 531, 852, 778, 25, 704));
  EXPECT_NE(draw(7, {}), draw(8, {}));
}

TEST(SamplerTest, TokensAreDrawnByTheirProbabilities) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};
  const std::vector<double> shares = Shares({.temperature = 1}, logits);
  EXPECT_NEAR(shares[0], 0.125, 0.01);
  EXPECT_NEAR(shares[1], 0.25, 0.01);
  EXPECT_NEAR(shares[2], 0.625, 0.01);
  const std::vector<double> sharper = Shares({.temperature = 0.5}, logits);
  EXPECT_NEAR(sharper[2], 25.0 / 30, 0.01);
}

TEST(SamplerTest, TopKAndTopPKeepTheLikeliest) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f), std::log(0.5f)};
  const std::vector<double> two = Shares({.temperature = 1, .top_k = 2}, logits);
  EXPECT_EQ(two[0] + two[3], 0);
  EXPECT_NEAR(two[2], 5.0 / 7, 0.01);
  const std::vector<double> most = Shares({.temperature = 1, .top_p = 0.8f}, logits);
  EXPECT_EQ(most[0] + most[3], 0);
  EXPECT_NEAR(most[2], 5.0 / 7, 0.01);
  EXPECT_EQ(Pick({.temperature = 1, .top_p = 1e-6f}, logits), 2);
  EXPECT_EQ(Pick({.temperature = 2, .top_k = 1}, logits), 2);
}

TEST(SamplerTest, TheRepetitionPenaltyWeighsTokensOfTheAnswer) {
  EXPECT_EQ(Pick({.repetition_penalty = 2}, {3, 2}, {0}), 1);
  EXPECT_EQ(Pick({.repetition_penalty = 2}, {-1, -1.5f}, {0, 0}), 1);
  EXPECT_EQ(Pick({.repetition_penalty = 2}, {3, 2}, {1}), 0);
}

}  // namespace
}  // namespace parley::engine::text

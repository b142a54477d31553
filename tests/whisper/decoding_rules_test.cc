#include "engine/whisper/decoding_rules.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace parley::engine::whisper {
namespace {

// Ten words, end of text 10, timestamps from 20 on.
constexpr int kVocabulary = 120;
SpecialTokens Tokens() {
  SpecialTokens tokens;
  tokens.start = 11;
  tokens.end = 10;
  tokens.no_timestamps = 19;
  tokens.first_timestamp = 20;
  return tokens;
}

std::vector<float> Allowed(const std::vector<TokenId>& written, std::vector<float> logits,
                           int timestamps = 100) {
  Config config;
  config.vocabulary = kVocabulary;
  config.suppressed = {3};
  config.suppressed_at_begin = {4, 10};
  DecodingRules(config, Tokens()).Apply(written, timestamps, absl::MakeSpan(logits));
  return logits;
}

bool Never(float score) { return score == -std::numeric_limits<float>::infinity(); }

TEST(DecodingRules, AWindowBeginsWithATimestampInItsFirstSecond) {
  const auto scores = Allowed({}, std::vector<float>(kVocabulary, 0.0f));
  for (int id = 0; id < kVocabulary; ++id) EXPECT_EQ(!Never(scores[id]), id >= 20 && id <= 70) << id;
}

TEST(DecodingRules, TextFollowsTheTimestampThatOpensASegment) {
  const auto scores = Allowed({25}, std::vector<float>(kVocabulary, 0.0f));
  EXPECT_FALSE(Never(scores[5]));
  EXPECT_TRUE(Never(scores[3]));   // suppressed
  EXPECT_TRUE(Never(scores[30]));  // no second timestamp
}

TEST(DecodingRules, AClosedSegmentIsFollowedByTheEndOrATimestampThatDoesNotGoBack) {
  std::vector<float> likely_end(kVocabulary, 0.0f);
  likely_end[10] = 50;
  const auto scores = Allowed({25, 5, 40}, likely_end);
  EXPECT_TRUE(Never(scores[5]));
  EXPECT_FALSE(Never(scores[10]));
  EXPECT_TRUE(Never(scores[39]));
  EXPECT_FALSE(Never(scores[40]));
}

TEST(DecodingRules, TimestampsTogetherLikelierThanAnyWordMakeItATimestamp) {
  const auto scores = Allowed({25, 5}, std::vector<float>(kVocabulary, 0.0f));
  EXPECT_TRUE(Never(scores[5]));
  EXPECT_TRUE(Never(scores[25]));
  EXPECT_FALSE(Never(scores[26]));
}

TEST(DecodingRules, NoTimestampLiesPastTheWindow) {
  const auto scores = Allowed({25, 5}, std::vector<float>(kVocabulary, 0.0f), 30);
  EXPECT_FALSE(Never(scores[49]));
  EXPECT_TRUE(Never(scores[50]));
}

TEST(DecodingRules, ALoopGoesOnWithAnotherWord) {
  std::vector<TokenId> written = {25};
  for (int i = 0; i < kMostRepeats; ++i) written.insert(written.end(), {5, 6});
  std::vector<float> likely_loop(kVocabulary, 0.0f);
  likely_loop[5] = 50;
  EXPECT_TRUE(Never(Allowed(written, likely_loop)[5]));
  written.pop_back();
  EXPECT_FALSE(Never(Allowed(written, likely_loop)[5]));
}

TEST(DecodingRules, ASentenceThatIsRepeatedSegmentAfterSegmentIsALoopToo) {
  std::vector<TokenId> written;
  for (int i = 0; i < kMostRepeats; ++i) written.insert(written.end(), {20 + 2 * i, 5, 6, 7, 22 + 2 * i});
  written.push_back(22 + 2 * kMostRepeats);
  const auto scores = Allowed(written, std::vector<float>(kVocabulary, 0.0f));
  EXPECT_TRUE(Never(scores[5]));
  EXPECT_FALSE(Never(scores[6]));
}

TEST(RepeatedTail, IsWhatFollowsTheFirstOfThreeOrMore) {
  EXPECT_EQ(RepeatedTail({}), 0);
  EXPECT_EQ(RepeatedTail({7, 7}), 0);
  EXPECT_EQ(RepeatedTail({1, 7, 7, 7}), 2);
  EXPECT_EQ(RepeatedTail({9, 1, 2, 1, 2}), 0);
  EXPECT_EQ(RepeatedTail({9, 1, 2, 1, 2, 1, 2}), 4);
  EXPECT_EQ(RepeatedTail({1, 2, 1, 2, 1, 2, 3}), 0);
}

TEST(LoopContinuation, IsTheNextTokenOfWhatIsSaidTooOftenAndLeavesEmphasisAlone) {
  EXPECT_EQ(LoopContinuation({}), -1);
  EXPECT_EQ(LoopContinuation({1, 2, 3, 4, 5, 6}), -1);
  std::vector<TokenId> text = {9};
  for (int i = 0; i < 5; ++i) text.insert(text.end(), {1, 2});  // "no, no, no, no, no,"
  EXPECT_EQ(LoopContinuation(text), -1);
  for (int i = 5; i < kMostRepeats; ++i) text.insert(text.end(), {1, 2});
  EXPECT_EQ(LoopContinuation(text), 1);
  text.push_back(1);
  EXPECT_EQ(LoopContinuation(text), 2);
  text.push_back(3);
  EXPECT_EQ(LoopContinuation(text), -1);
  EXPECT_EQ(LoopContinuation(std::vector<TokenId>(kLoopTokens - 1, 7)), -1);
  EXPECT_EQ(LoopContinuation(std::vector<TokenId>(kLoopTokens, 7)), 7);
}

}  // namespace
}  // namespace parley::engine::whisper

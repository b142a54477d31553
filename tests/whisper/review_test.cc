// What of a text is told apart from where its words were heard. Positions are 20 ms.
#include "engine/whisper/review.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace parley::engine::whisper {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

using Heard = std::vector<std::pair<std::string, int>>;

std::vector<WrittenToken> Tokens(const Heard& heard) {
  std::vector<WrittenToken> tokens;
  for (const auto& [text, position] : heard) {
    tokens.push_back({text.empty() ? TokenKind::kTimestamp : KindOfText(text), text, position});
  }
  return tokens;
}

// Speech from 0 s on, with silence at [begin, end) of each pause.
Energies Speech(int positions, const std::vector<std::pair<int, int>>& pauses) {
  Energies energies(positions, 1.0f);
  for (const auto& [begin, end] : pauses) std::fill(energies.begin() + begin, energies.begin() + end, 0.0f);
  return energies;
}

const Heard kQuestion = {{"can", 10}, {"you", 25}, {"hear", 36}, {"me", 48}, {"?", 62}};

Heard Then(Heard first, const Heard& second, int later = 0) {
  for (const auto& [text, position] : second) first.emplace_back(text, position < 0 ? -1 : position + later);
  return first;
}

TEST(ReviewTest, ATextWhoseWordsFollowEachOtherStays) {
  const Review review =
      ReviewTokens(Tokens(Then(kQuestion, kQuestion, 70)), Speech(140, {{58, 72}, {128, 140}}));
  EXPECT_THAT(review.echoes, IsEmpty());
  EXPECT_FALSE(review.skip.has_value());
  EXPECT_EQ(review.words, 8);
  EXPECT_EQ(review.heard, 8);
}

TEST(ReviewTest, SpeechThatIsLeftOutIsWrittenAnewFromThePauseBeforeIt) {
  const Review review = ReviewTokens(Tokens(Then(kQuestion, {{"tell", 152}, {"me", 160}, {"now", 170}})),
                                     Speech(190, {{56, 66}, {126, 140}, {180, 190}}));
  ASSERT_TRUE(review.skip.has_value());
  EXPECT_EQ(review.skip->tokens, 5u);
  EXPECT_GE(review.skip->position, 56);
  EXPECT_LT(review.skip->position, 66);
  EXPECT_EQ(review.skip->heard_after, 3);
}

TEST(ReviewTest, AWordHeardAtTheBeginningOfWhatIsLeftOutIsWrittenAnewWithIt) {
  const Review review = ReviewTokens(Tokens(Then(kQuestion, {{"tell", 70}, {"me", 160}, {"now", 170}})),
                                     Speech(190, {{56, 66}, {126, 140}, {180, 190}}));
  ASSERT_TRUE(review.skip.has_value());
  EXPECT_EQ(review.skip->tokens, 5u);
  EXPECT_LT(review.skip->position, 66);
}

TEST(ReviewTest, SpeechAfterTheLastWordIsLeftOut) {
  const Review review = ReviewTokens(Tokens(kQuestion), Speech(140, {{56, 66}, {128, 140}}));
  ASSERT_TRUE(review.skip.has_value());
  EXPECT_EQ(review.skip->tokens, 5u);
  EXPECT_LT(review.skip->position, 66);
  EXPECT_EQ(review.skip->heard_after, 0);
}

TEST(ReviewTest, APauseIsNothingLeftOut) {
  const Review review =
      ReviewTokens(Tokens(Then(kQuestion, kQuestion, 200)), Speech(270, {{58, 202}, {258, 270}}));
  EXPECT_FALSE(review.skip.has_value());
}

TEST(ReviewTest, SlowSpeechIsNothingLeftOut) {
  Heard slow;
  for (const auto& [text, position] : kQuestion) slow.emplace_back(text, position * 4);
  EXPECT_FALSE(ReviewTokens(Tokens(slow), Speech(240, {{225, 240}})).skip.has_value());
}

TEST(ReviewTest, ANumberTakesAsLongAsItTakes) {
  const Heard price = {{"it", 10}, {"costs", 25}, {"1", 40}, {",", -1}, {"250", 160}, {".", 170}};
  EXPECT_FALSE(ReviewTokens(Tokens(price), Speech(180, {{170, 180}})).skip.has_value());
}

TEST(ReviewTest, WordsHeardNowhereSayNothingOfWhatIsLeftOut) {
  Heard nowhere;
  for (const auto& [text, position] : kQuestion) nowhere.emplace_back(text, -1);
  const Review review = ReviewTokens(Tokens(nowhere), Speech(200, {}));
  EXPECT_FALSE(review.skip.has_value());
  EXPECT_EQ(review.words, 4);
  EXPECT_EQ(review.heard, 0);
}

TEST(ReviewTest, SteadyNoiseInAPauseIsNoSpeech) {
  Energies energies = Speech(270, {{58, 202}, {258, 270}});
  for (float& energy : energies) energy += 0.02f;
  EXPECT_FALSE(ReviewTokens(Tokens(Then(kQuestion, kQuestion, 200)), energies).skip.has_value());
}

TEST(ReviewTest, TheSameWordsHeardAtTheSamePlaceAreAnEcho) {
  const Review review = ReviewTokens(Tokens(Then({{"", -1}}, Then(kQuestion, kQuestion))), Speech(64, {}));
  EXPECT_THAT(review.echoes, ElementsAre(Pair(6, 11)));
  EXPECT_EQ(review.heard, 4);
}

TEST(ReviewTest, TheSameWordsHeardLaterAreNoEcho) {
  EXPECT_THAT(ReviewTokens(Tokens(Then(kQuestion, kQuestion, 60)), Speech(120, {})).echoes, IsEmpty());
}

TEST(ReviewTest, AnEchoBeginsWithItsFirstWordWhereverThatWasHeard) {
  Heard echo = kQuestion;
  echo[0].second = 47;
  const Review review = ReviewTokens(
      Tokens(Then(Then(kQuestion, echo), {{"tell", 66}, {"me", 76}, {"now", 86}})), Speech(100, {}));
  EXPECT_THAT(review.echoes, ElementsAre(Pair(5, 10)));
}

TEST(ReviewTest, NothingWrittenOrHeardIsNoFault) {
  EXPECT_THAT(ReviewTokens({}, {}).echoes, IsEmpty());
  EXPECT_FALSE(ReviewTokens(Tokens(kQuestion), {}).skip.has_value());
  EXPECT_FALSE(ReviewTokens({}, Speech(100, {})).skip.has_value());
}

TEST(ReviewTest, AWordIsHeardWhereItAloneAttends) {
  constexpr int kPositions = 60;
  std::vector<float> attention(3 * kPositions);
  std::vector<WrittenToken> tokens = Tokens({{"", -1}, {"one", -1}, {"two", -1}});
  for (int t = 0; t < 3; ++t) attention[t * kPositions + 59] = 0.6f;  // all of them
  attention[0 * kPositions + 5] = 0.4f;
  attention[1 * kPositions + 20] = 0.4f;
  attention[2 * kPositions + 40] = 0.4f;
  Locate(attention, kPositions, absl::MakeSpan(tokens));
  EXPECT_EQ(tokens[0].position, -1) << "a timestamp is heard nowhere";
  EXPECT_NEAR(tokens[1].position, 20, 5);
  EXPECT_NEAR(tokens[2].position, 40, 5);
}

TEST(ReviewTest, WordsThatAttendToTheSameAreHeardNowhere) {
  std::vector<float> attention(2 * 60, 1.0f / 60);
  std::vector<WrittenToken> tokens = Tokens({{"one", -1}, {"two", -1}});
  Locate(attention, 60, absl::MakeSpan(tokens));
  EXPECT_EQ(tokens[0].position, -1);
  EXPECT_EQ(tokens[1].position, -1);
}

TEST(ReviewTest, KindsOfTokensByTheirText) {
  EXPECT_EQ(KindOfText("hear"), TokenKind::kWord);
  EXPECT_EQ(KindOfText("'m"), TokenKind::kWord);
  EXPECT_EQ(KindOfText("\xe3\x81"), TokenKind::kWord);  // a part of a character
  EXPECT_EQ(KindOfText("$1"), TokenKind::kNumber);
  EXPECT_EQ(KindOfText("?"), TokenKind::kMark);
  EXPECT_EQ(KindOfText("\xe3\x80\x82"), TokenKind::kMark);  // an ideographic full stop
}

}  // namespace
}  // namespace parley::engine::whisper

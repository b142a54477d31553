// How a draft is followed while a window is written anew. Timestamps are tokens from 1000 on.
#include "engine/whisper/draft.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace parley::engine::whisper {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr TokenId kFirstTimestamp = 1000;
constexpr int kVocabulary = 2501;

class Following {
 public:
  explicit Following(std::vector<TokenId> draft)
      : draft_(std::move(draft)), follower_(draft_, kFirstTimestamp, kVocabulary) {}
  void Wrote(std::vector<TokenId> tokens) {
    for (const TokenId token : tokens) follower_.Wrote(token);
  }
  std::vector<TokenId> Proposes(int most = 3) const {
    std::vector<TokenId> tokens;
    follower_.Propose(most, tokens);
    return tokens;
  }

 private:
  const std::vector<TokenId> draft_;
  DraftFollower follower_;
};

TEST(DraftFollowerTest, WithoutADraftNothingIsProposed) {
  DraftFollower follower;
  follower.Wrote(1);
  std::vector<TokenId> tokens = {7};
  follower.Propose(16, tokens);
  EXPECT_THAT(tokens, ElementsAre(7));
}

TEST(DraftFollowerTest, ItIsProposedFromTheBeginningAndThenFromWhereTheWritingIs) {
  Following draft({1000, 1, 2, 3, 4, 1100});
  EXPECT_THAT(draft.Proposes(), ElementsAre(1000, 1, 2));
  draft.Wrote({1000, 1, 2, 3});
  EXPECT_THAT(draft.Proposes(), ElementsAre(4, 1100));
  draft.Wrote({4, 1100});
  EXPECT_THAT(draft.Proposes(), IsEmpty());
  EXPECT_THAT(draft.Proposes(-1), IsEmpty());
}

TEST(DraftFollowerTest, AWordThatIsWrittenOtherwiseAddedOrLeftOutIsPassed) {
  Following otherwise({1, 2, 3, 4, 5}), added({1, 2, 3, 4, 5}), left_out({1, 2, 3, 4, 5});
  otherwise.Wrote({1, 9, 3});
  EXPECT_THAT(otherwise.Proposes(), ElementsAre(4, 5));
  added.Wrote({1, 9, 2});
  EXPECT_THAT(added.Proposes(), ElementsAre(3, 4, 5));
  left_out.Wrote({1, 4});
  EXPECT_THAT(left_out.Proposes(), ElementsAre(5));
}

TEST(DraftFollowerTest, TimestampsMoveTogether) {
  Following draft({1000, 1, 1050, 1050, 2, 1080});
  draft.Wrote({1000, 1, 1053});
  EXPECT_THAT(draft.Proposes(), ElementsAre(1053, 2, 1083));
  Following back({1040, 1, 1050});
  back.Wrote({1000, 1});
  EXPECT_THAT(back.Proposes(), ElementsAre(1010));
}

TEST(DraftFollowerTest, ATimestampStaysOne) {
  Following back({1040, 1, 1010});
  back.Wrote({1000, 1});
  EXPECT_THAT(back.Proposes(), ElementsAre(kFirstTimestamp));
  Following forward({1000, 1, 2490});
  forward.Wrote({1040, 1});
  EXPECT_THAT(forward.Proposes(), ElementsAre(kVocabulary - 1));
}

TEST(DraftFollowerTest, ItSaysWhetherATokenIsWhatTheDraftHas) {
  DraftFollower follower;
  EXPECT_FALSE(follower.Wrote(1));
  const std::vector<TokenId> tokens = {1000, 1, 1050, 2};
  follower = DraftFollower(tokens, kFirstTimestamp, kVocabulary);
  EXPECT_TRUE(follower.Wrote(1000));
  EXPECT_FALSE(follower.Wrote(9));
  EXPECT_TRUE(follower.Wrote(1));
  EXPECT_FALSE(follower.Wrote(1051));
  EXPECT_TRUE(follower.Wrote(2));
  EXPECT_FALSE(follower.Wrote(3));
}

TEST(DraftFollowerTest, WhatIsWrittenElsewhereLeavesItWhereItIs) {
  Following draft({1, 2, 3});
  draft.Wrote({7, 8, 9});
  EXPECT_THAT(draft.Proposes(), ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace parley::engine::whisper

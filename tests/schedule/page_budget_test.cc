#include "engine/schedule/page_budget.h"

#include <gtest/gtest.h>

namespace parley::engine::schedule {
namespace {

PageStats Pool(int64_t in_use) { return {.total = 100, .in_use = in_use}; }

TEST(PageBudget, ConversationsAreTakenWhileTheirPromiseCanBeKept) {
  PageBudget budget;
  EXPECT_TRUE(budget.Open(1, 40, Pool(0)));
  EXPECT_TRUE(budget.Open(2, 40, Pool(0)));
  EXPECT_FALSE(budget.Open(3, 40, Pool(0)));
  EXPECT_EQ(budget.kept(), 80);
  EXPECT_TRUE(budget.Open(3, 20, Pool(0)));
  EXPECT_FALSE(budget.Open(4, 1, Pool(0)));
  budget.Close(1);
  EXPECT_TRUE(budget.Open(4, 40, Pool(0)));
}

TEST(PageBudget, OneThatGrowsTakesWhatNobodyIsPromised) {
  PageBudget budget;
  ASSERT_TRUE(budget.Open(1, 30, Pool(0)));
  ASSERT_TRUE(budget.Open(2, 30, Pool(0)));
  EXPECT_EQ(budget.Room(1, Pool(0)), 70);
  budget.Hold(1, 70);
  EXPECT_EQ(budget.Room(1, Pool(70)), 0);
  EXPECT_EQ(budget.Room(2, Pool(70)), 30);
  budget.Hold(2, 10);
  EXPECT_EQ(budget.Room(2, Pool(80)), 20);
  EXPECT_EQ(budget.Room(1, Pool(80)), 0);
  budget.Hold(1, 20);  // it has forgotten some
  EXPECT_EQ(budget.Room(2, Pool(30)), 60);
  EXPECT_EQ(budget.Room(1, Pool(30)), 50);
  EXPECT_FALSE(budget.Open(3, 41, Pool(30)));
  EXPECT_TRUE(budget.Open(3, 40, Pool(30)));
}

TEST(PageBudget, ASharedPageCountsOnceForThePoolAndForEachThatHoldsIt) {
  PageBudget budget;
  // Both begin with the same 20 pages, which the pool has once.
  ASSERT_TRUE(budget.Open(1, 50, Pool(0)));
  budget.Hold(1, 20);
  ASSERT_TRUE(budget.Open(2, 50, Pool(20)));
  EXPECT_FALSE(budget.Open(3, 50, Pool(20)));
  budget.Hold(2, 20);
  EXPECT_EQ(budget.kept(), 60);
  EXPECT_EQ(budget.Room(2, Pool(20)), 50);
  EXPECT_TRUE(budget.Open(3, 20, Pool(20)));
}

TEST(PageBudget, TellsHowManyMoreMayOpen) {
  PageBudget budget;
  ASSERT_TRUE(budget.Open(1, 40, Pool(0)));
  EXPECT_EQ(budget.CanOpen(20, Pool(0)), 3);
  for (WorkId id : {2, 3, 4}) ASSERT_TRUE(budget.Open(id, 20, Pool(0)));
  EXPECT_EQ(budget.CanOpen(20, Pool(0)), 0);
  EXPECT_FALSE(budget.Open(5, 20, Pool(0)));
}

TEST(PageBudget, WithoutPagesThereIsNoLimit) {
  PageBudget budget;
  EXPECT_GT(budget.CanOpen(1'000'000, {}), int64_t{1} << 40);
  EXPECT_TRUE(budget.Open(1, 1'000'000, {}));
  EXPECT_GT(budget.Room(1, {}), int64_t{1} << 40);
}

}  // namespace
}  // namespace parley::engine::schedule

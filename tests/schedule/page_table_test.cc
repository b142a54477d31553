#include "engine/schedule/page_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

namespace parley::engine::schedule {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
const auto kNoCopy = [](int, int) { ADD_FAILURE() << "a page was copied"; };

void Append(PageTable& table, int tokens, std::vector<int> starts = {}) {
  ASSERT_TRUE(table.Reserve(tokens, starts, kAny, kNoCopy).ok());
  table.Advance(tokens);
}

// (first position, tokens) of each page.
std::vector<std::pair<int, int>> Layout(const PageTable& table) {
  std::vector<std::pair<int, int>> layout;
  for (const PageTable::Entry& page : table.entries()) layout.emplace_back(page.first, page.count);
  return layout;
}

TEST(PageTable, APageBeginsWhenTheLastIsFullAndWhereTheCallerSays) {
  PagePool pool(100);
  PageTable table(&pool);
  Append(table, 5);
  Append(table, 40, {3, 23});
  EXPECT_THAT(Layout(table), ElementsAre(Pair(0, 8), Pair(8, 16), Pair(24, 4), Pair(28, 16), Pair(44, 1)));
  EXPECT_EQ(table.length(), 45);
  EXPECT_EQ(table.held(), 45);
  EXPECT_EQ(pool.stats().in_use, 5);
  EXPECT_EQ(table.Locate(26).slot, 2);
  EXPECT_EQ(table.Locate(26).page, table.entries()[2].page);
}

TEST(PageTable, WhereAPageBeginsDoesNotDependOnHowTheTokensCame) {
  // Page starts at these positions; 70 tokens.
  const std::vector<int> starts = {7, 7, 20, 37, 69};
  std::vector<std::pair<int, int>> expected;
  for (const int chunk : {70, 1, 3, 16, 21}) {
    PagePool pool(100);
    PageTable table(&pool);
    for (int at = 0; at < 70; at += chunk) {
      const int tokens = std::min(chunk, 70 - at);
      std::vector<int> mine;
      for (const int start : starts) {
        if (start >= at && start < at + tokens) mine.push_back(start - at);
      }
      Append(table, tokens, mine);
    }
    if (expected.empty()) expected = Layout(table);
    EXPECT_EQ(Layout(table), expected) << chunk;
  }
}

TEST(PageTable, TruncatedAndAppendedToItIsLaidOutAsIfNeverDifferent) {
  PagePool pool(100);
  PageTable table(&pool);
  Append(table, 60, {10, 30});
  table.Truncate(12);
  EXPECT_EQ(pool.stats().in_use, 2);
  Append(table, 20);
  PageTable fresh(&pool);
  Append(fresh, 32, {10});
  EXPECT_EQ(Layout(table), Layout(fresh));
  table.Truncate(10);  // the page that began there is gone, and with it the beginning
  Append(table, 8);
  fresh.Truncate(0);
  Append(fresh, 18);
  EXPECT_EQ(Layout(table), Layout(fresh));
}

TEST(PageTable, WhatIsForgottenFreesItsPagesAndMovesNothing) {
  PagePool pool(100);
  PageTable table(&pool);
  Append(table, 60, {10, 30});  // 10 | 16 4 | 16 14
  const int last = table.Locate(59).page;
  table.Forget(10, 30);
  EXPECT_THAT(Layout(table), ElementsAre(Pair(0, 10), Pair(30, 16), Pair(46, 14)));
  EXPECT_EQ(table.length(), 60);
  EXPECT_EQ(table.held(), 40);
  EXPECT_EQ(pool.stats().in_use, 3);
  EXPECT_EQ(table.Locate(59).page, last);
  Append(table, 4);
  EXPECT_THAT(Layout(table), ElementsAre(Pair(0, 10), Pair(30, 16), Pair(46, 16), Pair(62, 2)));
  // Back to the edges of the gap: the page before it is not filled up past it.
  table.Truncate(30);
  EXPECT_EQ(table.held(), 10);
  Append(table, 3);
  EXPECT_THAT(Layout(table), ElementsAre(Pair(0, 10), Pair(30, 3)));
  table.Truncate(10);
  Append(table, 3);
  EXPECT_THAT(Layout(table), ElementsAre(Pair(0, 13)));
}

TEST(PageTable, AForkSharesEveryPageAndCopiesTheOneItWritesInto) {
  PagePool pool(100);
  PageTable table(&pool);
  Append(table, 40);
  PageTable fork(&pool);
  fork.Share(table);
  EXPECT_EQ(pool.stats().in_use, 3);
  EXPECT_EQ(pool.stats().shared, 3);

  std::vector<std::pair<int, int>> copies;
  const int page = table.entries()[2].page;
  ASSERT_TRUE(fork.Reserve(10, {}, kAny, [&](int from, int to) { copies.emplace_back(from, to); }).ok());
  fork.Advance(10);
  EXPECT_THAT(copies, ElementsAre(Pair(page, fork.entries()[2].page)));
  EXPECT_NE(fork.entries()[2].page, page);
  EXPECT_EQ(pool.stats().in_use, 5);  // the copy, and one more
  EXPECT_EQ(pool.stats().shared, 2);
  Append(table, 10);  // is alone on its page again
  EXPECT_EQ(table.entries()[2].page, page);

  // One that begins a new page writes into nobody's.
  PageTable third(&pool);
  third.Share(table);
  Append(third, 10, {0});
  fork.Truncate(0);
  third.Truncate(0);
  EXPECT_EQ(pool.stats().shared, 0);
  EXPECT_EQ(pool.stats().in_use, 4);
}

TEST(PageTable, ATruncatedSharedPageStaysWholeForTheOther) {
  PagePool pool(100);
  PageTable table(&pool);
  Append(table, 16);
  PageTable fork(&pool);
  fork.Share(table);
  fork.Truncate(6);
  int copies = 0;
  ASSERT_TRUE(fork.Reserve(1, {}, kAny, [&](int, int) { ++copies; }).ok());
  EXPECT_EQ(copies, 1);
  EXPECT_THAT(Layout(table), ElementsAre(Pair(0, 16)));
}

TEST(PageTable, AReservationStandsUntilItIsUsedOrReplaced) {
  PagePool pool(100);
  PageTable table(&pool);
  Append(table, 10);
  ASSERT_TRUE(table.Reserve(50, {}, kAny, kNoCopy).ok());
  EXPECT_EQ(table.length(), 10);
  EXPECT_EQ(pool.stats().in_use, 4);
  ASSERT_TRUE(table.Reserve(3, {1}, kAny, kNoCopy).ok());
  EXPECT_THAT(Layout(table), ElementsAre(Pair(0, 11), Pair(11, 2)));
  EXPECT_EQ(pool.stats().in_use, 2);
  PageTable fork(&pool);
  fork.Share(table);
  EXPECT_THAT(Layout(fork), ElementsAre(Pair(0, 10)));
}

TEST(PageTable, WhatDoesNotFitTakesNothing) {
  PagePool pool(4);
  PageTable table(&pool);
  Append(table, 40);
  PageTable other(&pool);
  EXPECT_EQ(other.Reserve(17, {}, kAny, kNoCopy).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(table.Reserve(20, {}, 0, kNoCopy).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(pool.stats().in_use, 3);
  EXPECT_THAT(Layout(other), IsEmpty());
  EXPECT_TRUE(other.Reserve(16, {}, 1, kNoCopy).ok());
  table.Truncate(0);
  EXPECT_EQ(pool.stats().in_use, 1);
}

}  // namespace
}  // namespace parley::engine::schedule

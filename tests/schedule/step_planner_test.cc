// The policy in simulated time, on a fake device: a step costs by its rows, a slice costs what it costs.
#include "engine/schedule/step_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace parley::engine::schedule {
namespace {

using ::testing::ElementsAre;

int RowsOf(const StepPlan& plan, WorkId id) {
  int rows = 0;
  for (const auto& entry : plan.step) rows += entry.id == id ? entry.rows : 0;
  return rows;
}

int TotalRows(const StepPlan& plan) {
  int rows = 0;
  for (const auto& entry : plan.step) rows += entry.rows;
  return rows;
}

const absl::Time kNow = absl::UnixEpoch();

TEST(StepPlannerTest, NothingWantedIsAnEmptyPlan) {
  const StepPlan plan = StepPlanner({}).Plan({}, kNow);
  EXPECT_TRUE(plan.empty());
  EXPECT_EQ(plan.resume, absl::InfiniteFuture());
}

TEST(StepPlannerTest, EveryDecodingConversationComesBeforeAnyPrefill) {
  StepPlanner planner({.max_rows = 8, .max_prefill_rows = 6});
  const StepPlan plan = planner.Plan({{1, WorkKind::kAwaitedPrefill, 100},
                                      {2, WorkKind::kDecode},
                                      {3, WorkKind::kFramePrefill, 100},
                                      {4, WorkKind::kDecode}}, kNow);
  EXPECT_EQ(RowsOf(plan, 2), 1);
  EXPECT_EQ(RowsOf(plan, 4), 1);
  EXPECT_EQ(plan.step[0].kind, WorkKind::kDecode);
  EXPECT_EQ(RowsOf(plan, 1), 6);
  EXPECT_EQ(RowsOf(plan, 3), 0);
}

TEST(StepPlannerTest, PrefillIsBoundedTighterWhileSomebodyDecodes) {
  StepPlanner planner({.max_rows = 256, .max_prefill_rows = 32});
  EXPECT_EQ(TotalRows(planner.Plan({{1, WorkKind::kFramePrefill, 1000}}, kNow)), 256);
  EXPECT_EQ(TotalRows(planner.Plan({{1, WorkKind::kFramePrefill, 1000}, {2, WorkKind::kDecode}}, kNow)), 33);
}

TEST(StepPlannerTest, AwaitedPrefillGoesBeforeFramesWhichKeepAShare) {
  StepPlanner planner({.max_rows = 80});
  const StepPlan plan =
      planner.Plan({{1, WorkKind::kFramePrefill, 1000}, {2, WorkKind::kAwaitedPrefill, 1000}}, kNow);
  EXPECT_EQ(plan.step[0].id, 2u);
  EXPECT_EQ(RowsOf(plan, 2), 70);
  EXPECT_EQ(RowsOf(plan, 1), 10);
}

TEST(StepPlannerTest, APlanHoldsAtMostOneSliceOfTowerWork) {
  StepPlanner planner({});
  const StepPlan plan =
      planner.Plan({{1, WorkKind::kFrameSlice}, {2, WorkKind::kSpeechSlice}, {3, WorkKind::kDecode}}, kNow);
  EXPECT_THAT(plan.tower, ElementsAre(2));
  EXPECT_EQ(TotalRows(plan), 1);
}

TEST(StepPlannerTest, AFrameGetsItsSliceAfterSoManySlicesOfSpeech) {
  StepPlanner planner({.speech_slices_per_frame_slice = 3});
  std::vector<WorkId> order;
  for (int i = 0; i < 8; ++i) {
    order.push_back(planner.Plan({{1, WorkKind::kFrameSlice}, {2, WorkKind::kSpeechSlice}}, kNow).tower.front());
  }
  EXPECT_THAT(order, ElementsAre(2, 2, 2, 1, 2, 2, 2, 1));
}

TEST(StepPlannerTest, SpeechWithoutWaitingFramesOwesThemNothing) {
  StepPlanner planner({.speech_slices_per_frame_slice = 2});
  for (int i = 0; i < 10; ++i) planner.Plan({{2, WorkKind::kSpeechSlice}}, kNow);
  EXPECT_THAT(planner.Plan({{1, WorkKind::kFrameSlice}, {2, WorkKind::kSpeechSlice}}, kNow).tower, ElementsAre(2));
}

TEST(StepPlannerTest, MoreDecodingConversationsThanAStepHoldsTakeTurns) {
  StepPlanner planner({.max_rows = 4, .max_decodes = 3});
  std::map<WorkId, int> tokens;
  std::vector<Want> wants;
  for (WorkId id = 1; id <= 10; ++id) wants.push_back({id, WorkKind::kDecode});
  for (int step = 0; step < 100; ++step) {
    for (const auto& entry : planner.Plan(wants, kNow).step) ++tokens[entry.id];
  }
  for (const auto& [id, count] : tokens) EXPECT_EQ(count, 30) << id;
}

TEST(StepPlannerTest, ANewConversationStandsBehindThoseThatWait) {
  StepPlanner planner({.max_rows = 1});
  const std::vector<Want> two = {{5, WorkKind::kDecode}, {6, WorkKind::kDecode}};
  EXPECT_EQ(planner.Plan(two, kNow).step[0].id, 5u);
  EXPECT_EQ(planner.Plan({{1, WorkKind::kDecode}, {5, WorkKind::kDecode}, {6, WorkKind::kDecode}}, kNow).step[0].id,
            6u);
}

TEST(StepPlannerTest, ServiceGoesToWhoeverWaitedLongestEvenWhenOthersComeAndGo) {
  StepPlanner planner({.max_rows = 1});
  // A stream of newcomers, each gone after one service, beside one that stays.
  int served = 0;
  for (WorkId newcomer = 100; newcomer < 300; ++newcomer) {
    const WorkId id = planner.Plan({{1, WorkKind::kDecode}, {newcomer, WorkKind::kDecode}}, kNow).step[0].id;
    served += id == 1;
    planner.Forget(newcomer);
  }
  EXPECT_GE(served, 66);
}

TEST(StepPlannerTest, NothingStarvesAndNoTokenWaitsForMoreThanOneSliceUnderOverload) {
  // 20 conversations that decode for ever, 10 that always prefill speech, 10 frames' prefills, 10
  // transcriptions and 10 frame encodings, all without end. A row costs 1 ms, a slice 30 ms.
  const StepLimits limits{.max_rows = 64, .max_prefill_rows = 32, .max_decodes = 64};
  StepPlanner planner(limits);
  std::vector<Want> wants;
  for (WorkId id = 1; id <= 20; ++id) wants.push_back({id, WorkKind::kDecode});
  for (WorkId id = 21; id <= 30; ++id) wants.push_back({id, WorkKind::kAwaitedPrefill, 40});
  for (WorkId id = 31; id <= 40; ++id) wants.push_back({id, WorkKind::kFramePrefill, 40});
  for (WorkId id = 41; id <= 50; ++id) wants.push_back({id, WorkKind::kSpeechSlice});
  for (WorkId id = 51; id <= 60; ++id) wants.push_back({id, WorkKind::kFrameSlice});
  int64_t now_ms = 0;
  std::map<WorkId, int64_t> last;
  std::map<WorkId, int64_t> longest;
  const auto serve = [&](WorkId id) {
    longest[id] = std::max(longest[id], now_ms - last[id]);
    last[id] = now_ms;
  };
  for (int step = 0; step < 2000; ++step) {
    const StepPlan plan = planner.Plan(wants, kNow);
    if (!plan.tower.empty()) now_ms += 30;
    for (const WorkId id : plan.tower) serve(id);
    EXPECT_LE(TotalRows(plan), limits.max_rows);
    now_ms += TotalRows(plan);
    for (const auto& entry : plan.step) serve(entry.id);
  }
  const int64_t step_ms = 20 + 32 + 30;
  for (WorkId id = 1; id <= 20; ++id) EXPECT_LE(longest[id], step_ms) << id;
  for (WorkId id = 21; id <= 30; ++id) EXPECT_LE(longest[id], 10 * 2 * step_ms) << id;
  for (WorkId id = 31; id <= 40; ++id) EXPECT_LE(longest[id], 10 * 10 * step_ms) << id;
  for (WorkId id = 41; id <= 50; ++id) EXPECT_LE(longest[id], 12 * step_ms) << id;
  for (WorkId id = 51; id <= 60; ++id) EXPECT_LE(longest[id], 10 * 9 * step_ms) << id;
  EXPECT_EQ(longest.size(), 60u);
}

}  // namespace
}  // namespace parley::engine::schedule

// The policy in simulated time, on a fake device: a step costs by its rows, an encoder pass always the same.
#include "engine/schedule/step_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace parley::engine::schedule {
namespace {

using ::testing::ElementsAre;

Want Awaited(WorkId id, WorkKind kind, int rows = 1) { return {.id = id, .kind = kind, .rows = rows}; }

Want Background(WorkId id, WorkKind kind, int rows = 1) {
  return {.id = id, .kind = kind, .urgency = Urgency::kBackground, .rows = rows};
}

Want Speculative(WorkId id, WorkKind kind, int rows = 1) {
  return {.id = id, .kind = kind, .urgency = Urgency::kSpeculative, .rows = rows};
}

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
  const StepPlan plan = planner.Plan({Awaited(1, WorkKind::kPrefill, 100), Awaited(2, WorkKind::kDecode),
                                      Background(3, WorkKind::kPrefill, 100), Awaited(4, WorkKind::kDecode)},
                                     kNow);
  EXPECT_EQ(RowsOf(plan, 2), 1);
  EXPECT_EQ(RowsOf(plan, 4), 1);
  EXPECT_EQ(plan.step[0].kind, WorkKind::kDecode);
  EXPECT_EQ(RowsOf(plan, 1), 6);
  EXPECT_EQ(RowsOf(plan, 3), 0);
}

TEST(StepPlannerTest, PrefillIsBoundedTighterWhileSomebodyDecodes) {
  StepPlanner planner({.max_rows = 256, .max_prefill_rows = 32});
  EXPECT_EQ(TotalRows(planner.Plan({Background(1, WorkKind::kPrefill, 1000)}, kNow)), 256);
  EXPECT_EQ(
      TotalRows(planner.Plan({Background(1, WorkKind::kPrefill, 1000), Awaited(2, WorkKind::kDecode)}, kNow)),
      33);
}

TEST(StepPlannerTest, AwaitedPrefillGoesBeforeFramesWhichKeepAShare) {
  StepPlanner planner({.max_rows = 80});
  const StepPlan plan =
      planner.Plan({Background(1, WorkKind::kPrefill, 1000), Awaited(2, WorkKind::kPrefill, 1000)}, kNow);
  EXPECT_EQ(plan.step[0].id, 2u);
  EXPECT_EQ(RowsOf(plan, 2), 70);
  EXPECT_EQ(RowsOf(plan, 1), 10);
}

TEST(StepPlannerTest, APlanHoldsAtMostOneEncoderPass) {
  StepPlanner planner({});
  const StepPlan plan = planner.Plan({Background(1, WorkKind::kEncodeFrame),
                                      Awaited(2, WorkKind::kEncodeSpeech), Awaited(3, WorkKind::kDecode)},
                                     kNow);
  EXPECT_THAT(plan.encode, ElementsAre(2));
  EXPECT_EQ(TotalRows(plan), 1);
}

TEST(StepPlannerTest, FramesGetAPassAfterSoManyChunksOfSpeech) {
  StepPlanner planner({.speech_chunks_per_frame_pass = 3});
  std::vector<WorkId> order;
  for (int i = 0; i < 8; ++i) {
    order.push_back(
        planner.Plan({Background(1, WorkKind::kEncodeFrame), Awaited(2, WorkKind::kEncodeSpeech)}, kNow)
            .encode.front());
  }
  EXPECT_THAT(order, ElementsAre(2, 2, 2, 1, 2, 2, 2, 1));
}

TEST(StepPlannerTest, SpeechWithoutWaitingFramesOwesThemNothing) {
  StepPlanner planner({.speech_chunks_per_frame_pass = 2});
  for (int i = 0; i < 10; ++i) planner.Plan({Awaited(2, WorkKind::kEncodeSpeech)}, kNow);
  EXPECT_THAT(
      planner.Plan({Background(1, WorkKind::kEncodeFrame), Awaited(2, WorkKind::kEncodeSpeech)}, kNow).encode,
      ElementsAre(2));
}

TEST(StepPlannerTest, MoreDecodingConversationsThanAStepHoldsTakeTurns) {
  StepPlanner planner({.max_rows = 4, .max_decodes = 3});
  std::map<WorkId, int> tokens;
  std::vector<Want> wants;
  for (WorkId id = 1; id <= 10; ++id) wants.push_back(Awaited(id, WorkKind::kDecode));
  for (int step = 0; step < 100; ++step) {
    for (const auto& entry : planner.Plan(wants, kNow).step) ++tokens[entry.id];
  }
  for (const auto& [id, count] : tokens) EXPECT_EQ(count, 30) << id;
}

TEST(StepPlannerTest, ANewConversationStandsBehindThoseThatWait) {
  StepPlanner planner({.max_rows = 1});
  const std::vector<Want> two = {Awaited(5, WorkKind::kDecode), Awaited(6, WorkKind::kDecode)};
  EXPECT_EQ(planner.Plan(two, kNow).step[0].id, 5u);
  const std::vector<Want> three = {Awaited(1, WorkKind::kDecode), two[0], two[1]};
  EXPECT_EQ(planner.Plan(three, kNow).step[0].id, 6u);
}

TEST(StepPlannerTest, ServiceGoesToWhoeverWaitedLongestEvenWhenOthersComeAndGo) {
  StepPlanner planner({.max_rows = 1});
  // A stream of newcomers, each gone after one service, beside one that stays.
  int served = 0;
  for (WorkId newcomer = 100; newcomer < 300; ++newcomer) {
    const WorkId id =
        planner.Plan({Awaited(1, WorkKind::kDecode), Awaited(newcomer, WorkKind::kDecode)}, kNow).step[0].id;
    served += id == 1;
    planner.Forget(newcomer);
  }
  EXPECT_GE(served, 66);
}

constexpr Want Batchable(WorkId id, Urgency urgency = Urgency::kAwaited) {
  return {.id = id, .kind = WorkKind::kEncodeSpeech, .urgency = urgency, .begun = true, .batchable = true};
}

TEST(StepPlannerTest, BatchableChunksOfSpeechAreDoneTogether) {
  StepPlanner planner({.max_batched_chunks = 3});
  EXPECT_THAT(planner.Plan({Batchable(1), Batchable(2), Batchable(3), Batchable(4)}, kNow).encode,
              ElementsAre(1, 2, 3));
  EXPECT_THAT(planner.Plan({Batchable(1), Batchable(2), Batchable(3), Batchable(4)}, kNow).encode,
              ElementsAre(4, 1, 2));
}

TEST(StepPlannerTest, AChunkThatIsNotBatchableGoesAlone) {
  StepPlanner planner({});
  const std::vector<Want> wants = {Awaited(1, WorkKind::kEncodeSpeech), Batchable(2), Batchable(3)};
  EXPECT_THAT(planner.Plan(wants, kNow).encode, ElementsAre(1));
  EXPECT_THAT(planner.Plan(wants, kNow).encode, ElementsAre(2, 3));
  EXPECT_THAT(planner.Plan(wants, kNow).encode, ElementsAre(1));
}

TEST(StepPlannerTest, SpeculativeChunksPiggybackOnAnAwaitedOne) {
  StepPlanner planner({.max_piggybacked = 1});
  const Urgency held = Urgency::kSpeculative;
  EXPECT_THAT(planner.Plan({Batchable(1, held), Batchable(2, held), Batchable(3)}, kNow).encode,
              ElementsAre(3, 1));
  EXPECT_THAT(planner.Plan({Batchable(1, held), Awaited(3, WorkKind::kEncodeSpeech)}, kNow).encode,
              ElementsAre(3));
  EXPECT_THAT(planner.Plan({Batchable(1, held), Batchable(2, held)}, kNow).encode, ElementsAre(2, 1));
}

TEST(StepPlannerTest, NothingStarvesAndNoTokenWaitsForMoreThanOneEncoderPassUnderOverload) {
  // 20 conversations that decode for ever, 10 that always prefill speech, 10 frames' prefills, 10
  // transcriptions and 10 frame encodings, all without end. A row costs 1 ms, an encoder pass 30 ms.
  const StepLimits limits{.max_rows = 64, .max_prefill_rows = 32, .max_decodes = 64};
  StepPlanner planner(limits);
  std::vector<Want> wants;
  for (WorkId id = 1; id <= 20; ++id) wants.push_back(Awaited(id, WorkKind::kDecode));
  for (WorkId id = 21; id <= 30; ++id) wants.push_back(Awaited(id, WorkKind::kPrefill, 40));
  for (WorkId id = 31; id <= 40; ++id) wants.push_back(Background(id, WorkKind::kPrefill, 40));
  for (WorkId id = 41; id <= 50; ++id) wants.push_back(Awaited(id, WorkKind::kEncodeSpeech));
  for (WorkId id = 51; id <= 60; ++id) wants.push_back(Background(id, WorkKind::kEncodeFrame));
  int64_t now_ms = 0;
  std::map<WorkId, int64_t> last;
  std::map<WorkId, int64_t> longest;
  const auto serve = [&](WorkId id) {
    longest[id] = std::max(longest[id], now_ms - last[id]);
    last[id] = now_ms;
  };
  for (int step = 0; step < 2000; ++step) {
    const StepPlan plan = planner.Plan(wants, kNow);
    if (!plan.encode.empty()) now_ms += 30;
    for (const WorkId id : plan.encode) serve(id);
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

// ---------------------------------------------------------------- frames of many calls

std::vector<Want> Frames(int count) {
  std::vector<Want> wants;
  for (int i = 1; i <= count; ++i) wants.push_back(Background(i, WorkKind::kEncodeFrame));
  return wants;
}

TEST(StepPlannerTest, FramesShareAnEncoderPassAsFarAsTheirMeasuredTimeAllows) {
  StepPlanner planner({.max_frames = 8, .encoder_budget = absl::Milliseconds(50)});
  EXPECT_EQ(planner.Plan(Frames(20), kNow).encode.size(), 1u);  // not measured yet
  planner.FramesTook(1, absl::Milliseconds(12));
  EXPECT_THAT(planner.Plan(Frames(20), kNow).encode, ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(planner.Plan(Frames(20), kNow).encode, ElementsAre(6, 7, 8, 9));
  for (int i = 0; i < 50; ++i) planner.FramesTook(8, absl::Milliseconds(8));  // a batch is cheaper
  EXPECT_EQ(planner.Plan(Frames(20), kNow).encode.size(), 8u);
  for (int i = 0; i < 50; ++i) planner.FramesTook(1, absl::Seconds(1));
  EXPECT_EQ(planner.Plan(Frames(20), kNow).encode.size(), 1u);
}

TEST(StepPlannerTest, FramesThatAnAnswerWaitsForGoFirstAndOthersShareTheirPass) {
  StepPlanner planner({.max_frames = 3});
  planner.FramesTook(1, absl::Milliseconds(1));
  std::vector<Want> wants = Frames(4);
  wants.push_back(Awaited(10, WorkKind::kEncodeFrame));
  wants.push_back(Awaited(11, WorkKind::kEncodeFrame));
  EXPECT_THAT(planner.Plan(wants, kNow).encode, ElementsAre(10, 11, 1));
}

TEST(StepPlannerTest, SpeechAndFramesThatAnswersWaitForTakeTurns) {
  StepPlanner planner({});
  const std::vector<Want> wants = {Awaited(1, WorkKind::kEncodeSpeech), Awaited(2, WorkKind::kEncodeFrame)};
  for (int i = 0; i < 4; ++i) EXPECT_THAT(planner.Plan(wants, kNow).encode, ElementsAre(1 + i % 2));
}

// ---------------------------------------------------------------- speculation

const Want kStart = Speculative(100, WorkKind::kEncodeSpeech);
const Want kChunk = {
    .id = 101, .kind = WorkKind::kEncodeSpeech, .urgency = Urgency::kSpeculative, .begun = true};
const Want kPrefill = Speculative(102, WorkKind::kPrefill, 100);
const Want kHeldDecode = Speculative(103, WorkKind::kDecode);

TEST(StepPlannerTest, SpeculationHasTheDeviceWhenNobodyWaits) {
  StepPlanner planner({.max_speculative_rows = 32});
  const StepPlan plan = planner.Plan({kStart, kPrefill, kHeldDecode}, kNow);
  EXPECT_THAT(plan.encode, ElementsAre(100));
  EXPECT_EQ(RowsOf(plan, 103), 1);
  EXPECT_EQ(RowsOf(plan, 102), 31);
}

TEST(StepPlannerTest, WhoeverWaitsGoesAloneButForAFewDecodingRows) {
  const std::vector<Want> awaited = {Awaited(1, WorkKind::kDecode), Awaited(1, WorkKind::kEncodeSpeech),
                                     Awaited(1, WorkKind::kEncodeFrame), Awaited(1, WorkKind::kPrefill, 10)};
  for (const Want& want : awaited) {
    StepPlanner planner({});
    const StepPlan with = planner.Plan({want, kStart, kPrefill}, kNow);
    EXPECT_EQ(with.encode, StepPlanner({}).Plan({want}, kNow).encode);
    EXPECT_EQ(TotalRows(with), TotalRows(StepPlanner({}).Plan({want}, kNow)));
    EXPECT_EQ(RowsOf(with, 1) + static_cast<int>(with.encode.size()) > 0, true);
    EXPECT_EQ(planner.Plan({want, kChunk}, kNow).encode, with.encode);
  }
}

TEST(StepPlannerTest, HeldDecodingRowsPiggybackWhileStepsAreWithinTheirBudget) {
  StepPlanner planner({.max_piggybacked = 2, .step_budget = absl::Milliseconds(50)});
  std::vector<Want> wants = {Awaited(1, WorkKind::kDecode)};
  for (WorkId id = 103; id < 110; ++id) wants.push_back(Speculative(id, WorkKind::kDecode));
  StepPlan plan = planner.Plan(wants, kNow);
  EXPECT_EQ(TotalRows(plan), 3);
  planner.StepTook(plan, absl::Milliseconds(51), kNow);
  plan = planner.Plan(wants, kNow);
  EXPECT_EQ(TotalRows(plan), 1);
  planner.StepTook(plan, absl::Milliseconds(40), kNow);
  EXPECT_EQ(TotalRows(planner.Plan(wants, kNow)), 3);
  // No step is made for them after an awaited encoder pass.
  EXPECT_TRUE(planner.Plan({Awaited(1, WorkKind::kEncodeSpeech), kHeldDecode}, kNow).step.empty());
}

TEST(StepPlannerTest, PrefillIsCutToWhatTheMeasuredTimeOfATokenLetsIntoAStep) {
  StepPlanner planner({.max_rows = 256, .max_prefill_rows = 64, .step_limit = absl::Milliseconds(80)});
  const std::vector<Want> prefill = {Awaited(1, WorkKind::kPrefill, 1000)};
  StepPlan plan = planner.Plan(prefill, kNow);
  EXPECT_EQ(TotalRows(plan), 256);  // nothing is measured yet
  planner.StepTook(plan, absl::Milliseconds(256 * 2), kNow);
  plan = planner.Plan(prefill, kNow);
  EXPECT_EQ(TotalRows(plan), 40);  // 2 ms each
  planner.StepTook(plan, absl::Milliseconds(40), kNow);
  EXPECT_EQ(TotalRows(planner.Plan(prefill, kNow)), 45);  // 1.75 ms each: a quarter of the new figure

  // Tokens that are due count too, and a step of few says nothing about the time of one.
  plan = planner.Plan({Awaited(2, WorkKind::kDecode), Awaited(3, WorkKind::kDecode), prefill[0]}, kNow);
  EXPECT_EQ(TotalRows(plan), 45);
  plan = planner.Plan({Awaited(2, WorkKind::kDecode)}, kNow);
  planner.StepTook(plan, absl::Milliseconds(10), kNow);
  EXPECT_EQ(TotalRows(planner.Plan(prefill, kNow)), 45);
}

TEST(StepPlannerTest, SpeculationIsWithinWhatTheMeasuredTimeOfATokenLetsIntoAStep) {
  StepPlanner planner({.step_limit = absl::Milliseconds(80)});
  const Want frame = Background(1, WorkKind::kPrefill, 1000);
  planner.StepTook(planner.Plan({frame}, kNow), absl::Milliseconds(256 * 2), kNow);  // 2 ms each
  EXPECT_EQ(TotalRows(planner.Plan({frame, kPrefill}, kNow)), 40);
  const StepPlan plan = planner.Plan({Background(1, WorkKind::kPrefill, 30), kPrefill}, kNow);
  EXPECT_EQ(RowsOf(plan, 1), 30);
  EXPECT_EQ(RowsOf(plan, 102), 10);
}

TEST(StepPlannerTest, PrefillGoesOnHoweverManyDecodeOnASlowDevice) {
  StepPlanner planner({.max_rows = 256, .max_prefill_rows = 64, .step_limit = absl::Milliseconds(80)});
  std::vector<Want> wants = {Awaited(100, WorkKind::kPrefill, 1000)};
  planner.StepTook(planner.Plan(wants, kNow), absl::Seconds(10), kNow);
  for (WorkId id = 1; id <= 60; ++id) wants.push_back(Awaited(id, WorkKind::kDecode));
  const StepPlan plan = planner.Plan(wants, kNow);
  EXPECT_EQ(TotalRows(plan), 60 + 16);
  EXPECT_EQ(RowsOf(plan, 100), 16);
}

TEST(StepPlannerTest, PiggybackedRowsFitIntoTheStep) {
  StepPlanner planner({.max_rows = 3, .max_piggybacked = 4});
  std::vector<Want> wants = {Awaited(1, WorkKind::kDecode), Awaited(2, WorkKind::kDecode)};
  for (WorkId id = 103; id < 110; ++id) wants.push_back(Speculative(id, WorkKind::kDecode));
  EXPECT_EQ(TotalRows(planner.Plan(wants, kNow)), 3);
}

TEST(StepPlannerTest, FramesGoBeforeSpeculation) {
  StepPlanner planner({.max_rows = 64});
  StepPlan plan = planner.Plan({Background(1, WorkKind::kEncodeFrame), kChunk, kStart}, kNow);
  EXPECT_THAT(plan.encode, ElementsAre(1));
  plan = planner.Plan({Background(1, WorkKind::kPrefill, 1000), kPrefill}, kNow);
  EXPECT_EQ(RowsOf(plan, 1), 64);
  EXPECT_EQ(RowsOf(plan, 102), 0);
}

TEST(StepPlannerTest, NoneIsBegunForAWhileAfterSomebodyWasLeftOut) {
  StepPlanner planner({.speculation_cooldown = absl::Milliseconds(250)});
  planner.Plan({Awaited(1, WorkKind::kEncodeSpeech), Awaited(2, WorkKind::kEncodeSpeech)},
               kNow);  // one has to wait
  StepPlan plan = planner.Plan({kStart}, kNow + absl::Milliseconds(249));
  EXPECT_TRUE(plan.empty());
  EXPECT_EQ(plan.resume, kNow + absl::Milliseconds(250));
  // What was begun goes on.
  EXPECT_THAT(planner.Plan({kStart, kChunk}, kNow).encode, ElementsAre(101));
  EXPECT_EQ(RowsOf(planner.Plan({kStart, kPrefill}, kNow), 102), 32);
  plan = planner.Plan({kStart}, kNow + absl::Milliseconds(250));
  EXPECT_THAT(plan.encode, ElementsAre(100));
  EXPECT_EQ(plan.resume, absl::InfiniteFuture());
}

TEST(StepPlannerTest, IdleWorkIsDoneWhenThereIsNothingElseToDoAndTheDeviceIsNotLoaded) {
  const Want idle = {.id = 104, .kind = WorkKind::kEncodeSpeech, .urgency = Urgency::kIdle};
  StepPlanner planner({.speculation_cooldown = absl::Milliseconds(250)});
  EXPECT_THAT(planner.Plan({idle}, kNow).encode, ElementsAre(104));
  for (const Want& other :
       {kStart, kChunk, Background(1, WorkKind::kEncodeFrame), Awaited(1, WorkKind::kEncodeSpeech)}) {
    EXPECT_THAT(planner.Plan({idle, other}, kNow).encode, ElementsAre(other.id));
  }
  EXPECT_THAT(planner.Plan({idle, Awaited(1, WorkKind::kDecode)}, kNow).encode, testing::IsEmpty());
  for (const Want& rows : {kPrefill, kHeldDecode, Background(1, WorkKind::kPrefill, 5)}) {
    EXPECT_THAT(planner.Plan({idle, rows}, kNow).encode, testing::IsEmpty());
  }
  // Batchable ones are done together.
  const std::vector<Want> batch = {Batchable(104, Urgency::kIdle), Batchable(105, Urgency::kIdle)};
  EXPECT_THAT(planner.Plan(batch, kNow).encode, testing::UnorderedElementsAre(104, 105));
  // Somebody has to wait: nothing of the sort for a while, begun or not.
  planner.Plan({Awaited(1, WorkKind::kEncodeSpeech), Awaited(2, WorkKind::kEncodeSpeech)}, kNow);
  const StepPlan plan = planner.Plan({idle}, kNow);
  EXPECT_TRUE(plan.empty());
  EXPECT_EQ(plan.resume, kNow + absl::Milliseconds(250));
}

TEST(StepPlannerTest, NoneIsBegunForAWhileAfterADecodingStepOverItsBudget) {
  StepPlanner planner(
      {.step_budget = absl::Milliseconds(50), .speculation_cooldown = absl::Milliseconds(250)});
  const StepPlan decode = planner.Plan({Awaited(1, WorkKind::kDecode)}, kNow);
  planner.StepTook(decode, absl::Milliseconds(50), kNow);
  EXPECT_THAT(planner.Plan({kStart}, kNow).encode, ElementsAre(100));
  planner.StepTook(decode, absl::Milliseconds(51), kNow);
  EXPECT_TRUE(planner.Plan({kStart}, kNow).empty());
  // A long prefill alone delays no token.
  StepPlanner other({.step_budget = absl::Milliseconds(50)});
  other.StepTook(other.Plan({Awaited(1, WorkKind::kPrefill, 256)}, kNow), absl::Seconds(1), kNow);
  EXPECT_THAT(other.Plan({kStart}, kNow).encode, ElementsAre(100));
}

TEST(StepPlannerTest, SpeculationsShareWhatIsLeftFairly) {
  StepPlanner planner({.max_speculative_rows = 8});
  std::map<WorkId, int> chunks;
  std::map<WorkId, int> rows;
  std::vector<Want> wants;
  for (WorkId id = 1; id <= 5; ++id)
    wants.push_back({.id = id, .kind = kChunk.kind, .urgency = kChunk.urgency, .begun = true});
  for (WorkId id = 6; id <= 10; ++id) wants.push_back(Speculative(id, WorkKind::kPrefill, 8));
  for (int i = 0; i < 100; ++i) {
    const StepPlan plan = planner.Plan(wants, kNow);
    for (const WorkId id : plan.encode) ++chunks[id];
    for (const auto& entry : plan.step) rows[entry.id] += entry.rows;
  }
  for (WorkId id = 1; id <= 5; ++id) EXPECT_EQ(chunks[id], 20);
  for (WorkId id = 6; id <= 10; ++id) EXPECT_EQ(rows[id], 160);
}

TEST(StepPlannerTest, NobodyWhoWaitsIsDelayedBySpeculationBeyondThePassUnderWay) {
  // A call comes now and then and wants two chunks, 20 rows of prefill and 10 tokens; others speculate
  // without end, or not at all. A row costs 1 ms, a step 2 ms more, an encoder pass 30 ms.
  const StepLimits limits{.max_speculative_rows = 16, .max_piggybacked = 2};
  const auto longest = [&](bool speculation) {
    StepPlanner planner(limits);
    absl::Time now = kNow;
    absl::Duration longest = absl::ZeroDuration();
    int served = 0;
    for (int arrival = 0; arrival < 50; ++arrival) {
      // Off the beat of the encoder passes, so that it comes at every point of one.
      const absl::Time comes = now + absl::Milliseconds(300 + arrival * 7 % 41);
      int chunks = 2;
      int rows = 20;
      int tokens = 10;
      while (tokens > 0) {
        std::vector<Want> wants;
        if (speculation) wants = {kStart, kChunk, kPrefill, kHeldDecode};
        if (now >= comes) {
          if (chunks > 0) {
            wants.push_back(Awaited(1, WorkKind::kEncodeSpeech));
          } else if (rows > 0) {
            wants.push_back(Awaited(1, WorkKind::kPrefill, rows));
          } else {
            wants.push_back(Awaited(1, WorkKind::kDecode));
          }
        }
        const StepPlan plan = planner.Plan(wants, now);
        if (plan.empty()) {
          now += absl::Milliseconds(1);
          continue;
        }
        if (!plan.encode.empty()) {
          now += absl::Milliseconds(30);
          if (plan.encode[0] == 1) --chunks;
        }
        if (!plan.step.empty()) {
          const absl::Duration took = absl::Milliseconds(2 + TotalRows(plan));
          now += took;
          planner.StepTook(plan, took, now);
        }
        const int mine = RowsOf(plan, 1);
        if (mine > 0 && rows > 0) {
          rows -= mine;
        } else {
          tokens -= mine;
        }
      }
      ++served;
      longest = std::max(longest, now - comes);
    }
    EXPECT_EQ(served, 50);
    return longest;
  };
  const absl::Duration alone = longest(false);
  // The encoder pass and the step under way, and the rows piggybacked on the eleven steps.
  const absl::Duration under_way = absl::Milliseconds(30 + 2 + limits.max_speculative_rows);
  EXPECT_LE(longest(true), alone + under_way + absl::Milliseconds(11 * limits.max_piggybacked));
  EXPECT_GT(longest(true), alone);
}

}  // namespace
}  // namespace parley::engine::schedule

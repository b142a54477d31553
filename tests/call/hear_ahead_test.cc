// When a call has the engine listen ahead to a turn that goes on. 94 windows are three seconds.
#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kThreeSeconds = 94;

using HearAheadTest = CallFixture;

TEST_F(HearAheadTest, ALongTurnIsHeardAheadAndNothingIsTold) {
  Start();
  Say(kThreeSeconds - 1);
  EXPECT_THAT(engine_.heard_ahead(), IsEmpty());
  Say(1);
  EXPECT_THAT(engine_.heard_ahead(), ElementsAre(kThreeSeconds * kChunk));
  Say(47);
  EXPECT_THAT(engine_.heard_ahead(), ElementsAre(kThreeSeconds * kChunk, 141 * kChunk));
  EXPECT_THAT(lines_, ElementsAre("started 1/0"));
  EXPECT_EQ(engine_.History(), "");
}

TEST_F(HearAheadTest, ItIsTheBeginningOfWhatIsReadInTheEnd) {
  Start();
  BeSilent(20);
  Turn(120);
  ASSERT_EQ(engine_.heard_ahead().size(), 1u);
  ASSERT_EQ(engine_.utterances().size(), 1u);
  // Both begin with the padding before the first word; the end was not there yet.
  EXPECT_GE(engine_.heard_ahead()[0], 3u * 16'000);
  EXPECT_LT(engine_.heard_ahead()[0], engine_.utterances()[0].size());
}

TEST_F(HearAheadTest, PushToTalkIsHeardAheadToo) {
  config_.turn.mode = TurnMode::kManual;
  has_detector_ = false;
  Start();
  call_->ActivityStart(3);
  BeSilent(kThreeSeconds);
  EXPECT_THAT(engine_.heard_ahead(), ElementsAre(kThreeSeconds * kChunk));
}

TEST_F(HearAheadTest, WhileATurnIsAnsweredTheNextIsNotHeardAhead) {
  config_.turn.interruption_enabled = false;
  engine_.SetAnswerTokens(1000);
  pace_ = 1;
  Start();
  Turn(10);
  Say(300);
  EXPECT_THAT(engine_.heard_ahead(), IsEmpty());
}

TEST_F(HearAheadTest, InputClearForgetsWhatWasHeard) {
  Start();
  Say(kThreeSeconds);
  call_->ClearInput(3);
  Settle();
  EXPECT_THAT(engine_.heard_ahead(), ElementsAre(kThreeSeconds * kChunk, 0));
}

TEST_F(HearAheadTest, WithoutSpeculationThereIsNone) {
  config_.turn.speculation.enabled = false;
  Start();
  Turn(300);
  EXPECT_THAT(engine_.heard_ahead(), IsEmpty());
}

}  // namespace
}  // namespace parley::streaming

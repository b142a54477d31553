// When a call has the engine transcribe a turn that goes on. 94 windows are three seconds.
#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kThreeSeconds = 94;

using EarlyTranscriptionTest = CallFixture;

TEST_F(EarlyTranscriptionTest, ALongTurnIsTranscribedEarlyAndNothingIsTold) {
  Start();
  Say(kThreeSeconds - 1);
  EXPECT_THAT(engine_.early_transcriptions(), IsEmpty());
  Say(1);
  EXPECT_THAT(engine_.early_transcriptions(), ElementsAre(kThreeSeconds * kChunk));
  Say(47);
  EXPECT_THAT(engine_.early_transcriptions(), ElementsAre(kThreeSeconds * kChunk, 141 * kChunk));
  EXPECT_THAT(lines_, ElementsAre("started 1/0"));
  EXPECT_EQ(engine_.History(), "");
}

TEST_F(EarlyTranscriptionTest, ItIsTheBeginningOfWhatIsReadInTheEnd) {
  Start();
  BeSilent(20);
  Turn(120);
  ASSERT_EQ(engine_.early_transcriptions().size(), 1u);
  ASSERT_EQ(engine_.utterances().size(), 1u);
  // Both begin with the padding before the first word; the end was not there yet.
  EXPECT_GE(engine_.early_transcriptions()[0], 3u * 16'000);
  EXPECT_LT(engine_.early_transcriptions()[0], engine_.utterances()[0].size());
}

TEST_F(EarlyTranscriptionTest, PushToTalkIsTranscribedEarlyToo) {
  config_.turn.mode = TurnMode::kManual;
  has_detector_ = false;
  Start();
  call_->Push(input::ActivityStart{}, 3);
  BeSilent(kThreeSeconds);
  EXPECT_THAT(engine_.early_transcriptions(), ElementsAre(kThreeSeconds * kChunk));
}

TEST_F(EarlyTranscriptionTest, WhileATurnIsAnsweredTheNextIsNotTranscribedEarly) {
  config_.turn.interruption_enabled = false;
  engine_.SetAnswerTokens(1000);
  pace_ = 1;
  Start();
  Turn(10);
  Say(300);
  EXPECT_THAT(engine_.early_transcriptions(), IsEmpty());
}

TEST_F(EarlyTranscriptionTest, InputClearForgetsWhatWasHeard) {
  Start();
  Say(kThreeSeconds);
  call_->Push(input::Clear{}, 3);
  RunUntilIdle();
  EXPECT_THAT(engine_.early_transcriptions(), ElementsAre(kThreeSeconds * kChunk, 0));
}

TEST_F(EarlyTranscriptionTest, WithoutSpeculationThereIsNone) {
  config_.turn.speculation.enabled = false;
  Start();
  Turn(300);
  EXPECT_THAT(engine_.early_transcriptions(), IsEmpty());
}

}  // namespace
}  // namespace parley::streaming

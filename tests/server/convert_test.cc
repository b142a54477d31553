#include "server/convert.h"

#include <gtest/gtest.h>

#include <limits>

namespace parley::server {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

TEST(ToProto, EventsCarryTheirEnvelope) {
  const v1::ServerMessage message =
      ToProto(streaming::CallEvent{.epoch = 3,
                                   .turn_id = 4,
                                   .response_id = 5,
                                   .payload = streaming::Interrupted{7, absl::Milliseconds(650)}});
  EXPECT_EQ(message.epoch(), 3u);
  EXPECT_EQ(message.turn_id(), 4u);
  EXPECT_EQ(message.response_id(), 5u);
  EXPECT_EQ(message.interrupted().tokens_kept(), 7u);
  EXPECT_EQ(message.interrupted().speech_ms(), 650u);
}

TEST(ToProto, EveryEventButTheServersOwnHasItsPayload) {
  auto payload = [](decltype(streaming::CallEvent::payload) event) {
    return ToProto(streaming::CallEvent{.payload = std::move(event)}).payload_case();
  };
  using M = v1::ServerMessage;
  EXPECT_EQ(payload(streaming::InputStatus{}), M::kInputStatus);
  EXPECT_EQ(payload(streaming::SpeechStarted{}), M::kSpeechStarted);
  EXPECT_EQ(payload(streaming::SpeechStopped{}), M::kSpeechStopped);
  EXPECT_EQ(payload(streaming::TurnCommitted{.frame_ids = {1, 2}}), M::kTurnCommitted);
  EXPECT_EQ(payload(streaming::InputTranscript{}), M::kTranscript);
  EXPECT_EQ(payload(streaming::ResponseStarted{}), M::kResponseStarted);
  EXPECT_EQ(payload(streaming::TokenDelta{}), M::kToken);
  EXPECT_EQ(payload(streaming::ResponseDone{}), M::kResponseDone);
  EXPECT_EQ(payload(streaming::ContextCompacted{}), M::kContextCompacted);
  EXPECT_EQ(payload(streaming::CallWarning{}), M::kWarning);
  EXPECT_EQ(payload(streaming::CallError{}), M::kError);
  EXPECT_EQ(payload(streaming::ConfigChanged{}), M::PAYLOAD_NOT_SET);
  EXPECT_EQ(payload(streaming::TurnTimes{}), M::PAYLOAD_NOT_SET);
  EXPECT_EQ(payload(streaming::CallEnded{}), M::PAYLOAD_NOT_SET);
}

TEST(ToProto, ACompactionSaysWhatWentAndWhy) {
  const v1::ContextCompacted compacted =
      ToProto(streaming::CallEvent{
                  .payload = streaming::ContextCompacted{{engine::Compaction::Reason::kMemory, 3, 900, 200}}})
          .context_compacted();
  EXPECT_EQ(compacted.reason(), v1::ContextCompacted::MEMORY);
  EXPECT_EQ(compacted.turns_dropped(), 3u);
  EXPECT_EQ(compacted.tokens_before(), 900u);
  EXPECT_EQ(compacted.tokens_after(), 200u);
}

TEST(ToProto, CountsNeverWrapBelowZero) {
  const auto message =
      ToProto(streaming::CallEvent{.payload = streaming::TokenDelta{.text = "x", .tokens = -1}});
  EXPECT_EQ(message.token().tokens(), 0u);
}

TEST(ToProto, AFrameTellsItsAgeWhereItIsKnownAndItsStagesWhenEncoded) {
  streaming::InputStatus status{.encoded = true, .age = absl::Milliseconds(85)};
  status.times.queued = kStart;
  status.times.encode_start = kStart + absl::Microseconds(5);
  status.times.encode_end = kStart + absl::Microseconds(25);
  status.times.prefill_start = kStart + absl::Microseconds(26);
  status.times.prefill_end = kStart + absl::Microseconds(75);
  v1::InputStatus got = ToProto(streaming::CallEvent{.payload = status}).input_status();
  EXPECT_EQ(got.age_ms(), 85u);
  EXPECT_EQ(got.queue_us(), 5u);
  EXPECT_EQ(got.encode_us(), 20u);
  EXPECT_EQ(got.prefill_us(), 50u);
  got = ToProto(streaming::CallEvent{.payload = streaming::InputStatus{}}).input_status();
  EXPECT_FALSE(got.has_age_ms());
  EXPECT_EQ(got.encode_us(), 0u);
  // A client's clock says anything.
  status.age = absl::Hours(24 * 365 * 1000);
  EXPECT_EQ(ToProto(streaming::CallEvent{.payload = status}).input_status().age_ms(),
            std::numeric_limits<uint32_t>::max());
}

TEST(TurnMetrics, DurationsComeFromTheMomentsOfTheirStage) {
  auto at = [](int ms) { return kStart + absl::Milliseconds(ms); };
  streaming::TurnTimes times;
  times.speech_captured = at(-30);
  times.speech_end = at(0);
  times.end_decided = at(500);
  times.speech_queued = at(501);
  times.encode_start = at(510);
  times.encode_end = at(560);
  times.prefill_queued = at(560);
  times.prefill_start = at(565);
  times.prefill_end = at(600);
  times.first_token = at(620);
  times.last_token = at(920);
  times.speech = absl::Milliseconds(1'500);
  const v1::TurnMetrics metrics = ToProto(times, at(621));
  EXPECT_EQ(metrics.uplink_us(), 30'000u);
  EXPECT_EQ(metrics.endpoint_us(), 500'000u);
  EXPECT_EQ(metrics.speech_queue_us(), 9'000u);
  EXPECT_EQ(metrics.speech_encode_us(), 50'000u);
  EXPECT_EQ(metrics.prefill_queue_us(), 5'000u);
  EXPECT_EQ(metrics.prefill_us(), 35'000u);
  EXPECT_EQ(metrics.first_token_us(), 20'000u);
  EXPECT_EQ(metrics.first_write_us(), 1'000u);
  EXPECT_EQ(metrics.response_latency_us(), 121'000u);
  EXPECT_EQ(metrics.generation_us(), 300'000u);
  EXPECT_EQ(metrics.speech_ms(), 1'500u);
}

TEST(TurnMetrics, AHeldAnswerIsReadyBeforeTheEndOfTheTurnIsDecidedAndIsWrittenAtOnce) {
  const auto at = [](int ms) { return kStart + absl::Milliseconds(ms); };
  streaming::TurnTimes times;
  times.speech_end = at(0);
  times.end_decided = at(500);
  times.speech_queued = at(192);
  times.encode_start = at(193);
  times.encode_end = at(343);
  times.first_token = at(440);
  times.last_token = at(600);
  times.speculation = streaming::SpeculationOutcome::kHit;
  times.speculations = 2;
  times.wasted_tokens = 17;
  times.transcript_tokens = 30;
  times.transcript_tokens_early = 25;
  const v1::TurnMetrics metrics = ToProto(times, at(501));
  EXPECT_EQ(metrics.speculation(), v1::TurnMetrics::HIT);
  EXPECT_EQ(metrics.speculations(), 2u);
  EXPECT_EQ(metrics.wasted_tokens(), 17u);
  EXPECT_EQ(metrics.transcript_tokens(), 30u);
  EXPECT_EQ(metrics.transcript_tokens_early(), 25u);
  EXPECT_EQ(metrics.held_us(), 60'000u);
  EXPECT_EQ(metrics.first_write_us(), 1'000u);
  EXPECT_EQ(metrics.response_latency_us(), 1'000u);
  EXPECT_EQ(metrics.speech_queue_us(), 1'000u);
  EXPECT_EQ(metrics.speech_encode_us(), 150'000u);
  times.first_token = at(520);  // a hit that was not ready
  EXPECT_EQ(ToProto(times, at(521)).held_us(), 0u);
  EXPECT_EQ(ToProto(times, at(521)).first_write_us(), 1'000u);
}

TEST(TurnMetrics, StagesThatDidNotHappenAreZero) {
  streaming::TurnTimes times;
  times.first_token = absl::InfiniteFuture();
  times.prefill_start = kStart;
  times.prefill_end = kStart - absl::Seconds(1);
  const v1::TurnMetrics metrics = ToProto(times, absl::InfinitePast());
  EXPECT_EQ(metrics.uplink_us(), 0u);
  EXPECT_EQ(metrics.endpoint_us(), 0u);
  EXPECT_EQ(metrics.prefill_us(), 0u);
  EXPECT_EQ(metrics.first_token_us(), 0u);
  EXPECT_EQ(metrics.first_write_us(), 0u);
  EXPECT_EQ(metrics.generation_us(), 0u);
}

}  // namespace
}  // namespace parley::server

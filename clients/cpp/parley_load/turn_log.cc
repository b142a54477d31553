#include "clients/cpp/parley_load/turn_log.h"

#include <utility>

namespace parley::client {

void TurnLog::Observe(const v1::ServerMessage& event, absl::Time received) {
  if (event.has_ready()) {
    silence_ = absl::Milliseconds(event.ready().config().turn().silence_ms());
    return;
  }
  if (event.turn_id() == 0) return;
  TurnOutcome& turn = turns_[event.turn_id()];
  switch (event.payload_case()) {
    case v1::ServerMessage::kSpeechStopped: {
      const auto samples = static_cast<double>(event.speech_stopped().sample_index());
      turn.decision_due = start_ + absl::Seconds(samples / rate_hz_) + silence_;
      break;
    }
    case v1::ServerMessage::kTurnCommitted:
      // Not ended by silence: it is due when it comes.
      if (turn.decision_due == absl::InfinitePast()) turn.decision_due = received;
      break;
    case v1::ServerMessage::kTranscript:
      turn.transcript = event.transcript().text();
      break;
    case v1::ServerMessage::kToken: {
      absl::Time& last = last_token_[event.turn_id()];
      if (turn.first_token == absl::InfiniteFuture()) {
        turn.first_token = received;
      } else {
        turn.gaps.push_back(received - last);
      }
      last = received;
      turn.answer += event.token().text();
      break;
    }
    case v1::ServerMessage::kResponseDone: {
      const v1::ResponseDone::FinishReason reason = event.response_done().finish_reason();
      turn.answered = reason == v1::ResponseDone::END_OF_TURN || reason == v1::ResponseDone::MAX_TOKENS ||
                      reason == v1::ResponseDone::STOP_STRING;
      break;
    }
    case v1::ServerMessage::kMetrics:
      turn.server_latency_us = event.metrics().response_latency_us();
      break;
    default:
      break;
  }
}

std::vector<TurnOutcome> TurnLog::Turns() const {
  std::vector<TurnOutcome> turns;
  for (const auto& [id, turn] : turns_) {
    if (turn.answered || !turn.transcript.empty() || !turn.answer.empty()) turns.push_back(turn);
  }
  return turns;
}

}  // namespace parley::client

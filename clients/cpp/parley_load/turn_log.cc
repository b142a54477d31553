#include "clients/cpp/parley_load/turn_log.h"

#include <algorithm>

namespace parley::client {

void TurnLog::Observe(const v1::ServerMessage& event, absl::Time received) {
  if (event.has_ready()) {
    silence_ = absl::Milliseconds(event.ready().config().turn().silence_ms());
    return;
  }
  if (event.turn_id() == 0) return;
  TurnOutcome& turn = turns_[event.turn_id()];
  switch (event.payload_case()) {
    case v1::ServerMessage::kSpeechStopped:
      turn.decision_due = std::min(At(event.speech_stopped().sample_index()) + silence_, end_);
      break;
    case v1::ServerMessage::kTurnCommitted:
      // In mid-speech (it was too long): there was no silence to wait for.
      if (turn.decision_due == absl::InfinitePast()) {
        turn.decision_due = At(event.turn_committed().end_sample_index());
      }
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
      turn.metrics = event.metrics();
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

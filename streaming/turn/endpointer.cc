#include "streaming/turn/endpointer.h"

#include <algorithm>
#include <utility>

namespace parley::streaming {

void Endpointer::Configure(const TurnConfig& config) {
  if (config.mode != config_.mode) {
    run_.reset();
    // Silence counts from here: what came before was not judged.
    if (open_) speech_end_ = std::max(speech_end_, position_);
  }
  config_ = config;
  paused_ = false;  // a pause is told again, under the new configuration
}

TurnEvents Endpointer::Push(int64_t window_start, float probability) {
  TurnEvents events;
  position_ = window_start + kWindow;
  if (config_.mode == TurnMode::kManual) {
    if (TrackRun(window_start, probability, config_.start_threshold) && IsSpeech(*run_))
      speech_until_ = position_;
    if (open_ && position_ - speech_start_ >= ToSamples(config_.max_turn)) {
      events.push_back(CloseTurn(CommitReason::kMaxTurn, position_));
      OpenTurn(position_, position_);
    }
    if (open_ && speech_until_ > turn_start_) TellGrowth(events);
    return events;
  }

  const bool in_speech = open_ || run_.has_value();
  const bool voiced =
      TrackRun(window_start, probability, in_speech ? end_threshold() : config_.start_threshold);
  if (!open_ && voiced && IsSpeech(*run_)) {
    OpenTurn(run_->start, PaddedStart(run_->start));
    events.push_back(
        {.kind = TurnEvent::Kind::kSpeechStarted, .sample = speech_start_, .probability = probability});
  }
  if (!open_) return events;
  if (voiced) {
    speech_end_ = speech_until_ = position_;
    // What made the run a turn counts, though the turn was not open yet.
    voiced_ = std::max(voiced_ + kWindow, run_->voiced_samples);
    if (std::exchange(paused_, false)) {
      events.push_back({.kind = TurnEvent::Kind::kResumed, .sample = position_, .probability = probability});
    }
    TellOverAnswer(probability, events);
  }

  const bool silent = position_ - speech_end_ >= ToSamples(config_.silence);
  const bool too_long = position_ - speech_start_ >= ToSamples(config_.max_turn);
  if (silent || (too_long && !run_.has_value())) {
    events.push_back(
        {.kind = TurnEvent::Kind::kSpeechStopped, .sample = speech_end_, .probability = probability});
    const int64_t end = std::min(position_, speech_end_ + kTailSamples);
    events.push_back(CloseTurn(silent ? CommitReason::kSilence : CommitReason::kMaxTurn, end));
  } else if (too_long) {
    events.push_back(CloseTurn(CommitReason::kMaxTurn, position_));
    // Speech goes on: the next turn begins here, if it does so for min_speech.
    run_ = Run{.start = position_, .end = position_, .rest = true};
  } else if (!paused_ && PauseIsDue()) {
    paused_ = true;
    events.push_back({.kind = TurnEvent::Kind::kPaused,
                      .sample = speech_end_,
                      .probability = probability,
                      .start = turn_start_,
                      .end = speech_end_ + kTailSamples});
  }
  if (open_ && voiced) TellGrowth(events);
  return events;
}

void Endpointer::TellGrowth(TurnEvents& events) {
  const int64_t length = position_ - turn_start_;
  if (!config_.speculation.enabled || length < next_growth_) return;
  next_growth_ = length + length / 2;
  events.push_back(
      {.kind = TurnEvent::Kind::kGrown, .sample = speech_end_, .start = turn_start_, .end = position_});
}

void Endpointer::TellOverAnswer(float probability, TurnEvents& events) {
  if (!answer_active_) return;
  voiced_over_answer_ = std::max(voiced_over_answer_ + kWindow, run_->voiced_over_answer);
  const absl::Duration over_answer = SamplesToDuration(run_->voiced_over_answer);
  const int64_t length = position_ - turn_start_;
  if (!config_.interruption_enabled || over_answer < config_.interruption_min_duration) return;
  if (length < next_over_answer_) return;
  next_over_answer_ = length + length / 2;
  events.push_back({.kind = TurnEvent::Kind::kOverAnswer,
                    .sample = speech_end_,
                    .probability = probability,
                    .start = turn_start_,
                    .end = position_,
                    .speech = over_answer});
}

void Endpointer::SetAnswerActive(bool active) {
  if (active && !answer_active_) {
    next_over_answer_ = 0;
    if (!rest_) {
      voiced_over_answer_ = 0;
      over_answer_ = false;
    }
    if (run_.has_value() && !run_->rest) run_->voiced_over_answer = 0;
  }
  answer_active_ = active;
}

void Endpointer::ActivityStart(int64_t now) {
  if (open_) return;
  OpenTurn(now, PaddedStart(now));
}

TurnEvents Endpointer::EndOpenTurn(CommitReason reason, int64_t now) {
  TurnEvents events;
  if (!open_) {
    run_.reset();
    return events;
  }
  if (config_.mode == TurnMode::kVad) {
    events.push_back({.kind = TurnEvent::Kind::kSpeechStopped, .sample = speech_end_});
  }
  events.push_back(CloseTurn(reason, now));
  return events;
}

TurnEvents Endpointer::Commit(int64_t now) {
  if (open_) return EndOpenTurn(CommitReason::kInputCommit, now);
  int64_t start = turn_floor_;
  if (config_.mode == TurnMode::kVad) start = first_voiced_.has_value() ? PaddedStart(*first_voiced_) : now;
  start = std::max(start, now - LongestTurn());
  OpenTurn(start, start);
  return {CloseTurn(CommitReason::kInputCommit, now)};
}

void Endpointer::Clear(int64_t now) {
  open_ = false;
  rest_ = false;
  paused_ = false;
  run_.reset();
  first_voiced_.reset();
  turn_floor_ = now;
  position_ = now;
}

int64_t Endpointer::needed_from() const {
  if (open_) return turn_start_;
  const int64_t oldest = position_ - LongestTurn();
  if (config_.mode == TurnMode::kManual) return std::max(turn_floor_, oldest);
  int64_t from = PaddedStart(position_);
  if (run_.has_value()) from = std::min(from, PaddedStart(run_->start));
  if (first_voiced_.has_value()) from = std::min(from, PaddedStart(*first_voiced_));
  return std::max(from, oldest);
}

int64_t Endpointer::LongestTurn() const { return ToSamples(config_.max_turn + config_.prefix_padding); }

bool Endpointer::PauseIsDue() const {
  const int64_t pause = std::max(ToSamples(config_.speculation.pause), kTailSamples);
  return config_.speculation.enabled && position_ - speech_end_ >= pause;
}

float Endpointer::end_threshold() const { return std::max(config_.start_threshold - 0.15f, 0.01f); }

int64_t Endpointer::PaddedStart(int64_t sample) const {
  return std::max(sample - ToSamples(config_.prefix_padding), turn_floor_);
}

bool Endpointer::TrackRun(int64_t window_start, float probability, float threshold) {
  const int64_t window_end = window_start + kWindow;
  if (probability >= threshold) {
    // A turn may have ended within this window.
    if (!run_.has_value()) run_ = Run{.start = std::max(window_start, turn_floor_)};
    run_->end = window_end;
    run_->voiced_samples += kWindow;
    if (answer_active_ || run_->rest) run_->voiced_over_answer += kWindow;
    if (!first_voiced_.has_value()) first_voiced_ = std::max(window_start, turn_floor_);
    return true;
  }
  if (run_.has_value() && window_end - run_->end > kMaxDipSamples) run_.reset();
  return false;
}

void Endpointer::OpenTurn(int64_t speech_start, int64_t turn_start) {
  open_ = true;
  paused_ = false;
  speech_start_ = speech_start;
  speech_end_ = speech_start;
  turn_start_ = turn_start;
  next_growth_ = kFirstGrowth;
  rest_ = run_.has_value() && run_->rest;
  over_answer_ = answer_active_ || rest_;
  voiced_ = 0;
  voiced_over_answer_ = 0;
  next_over_answer_ = 0;
}

TurnEvent Endpointer::CloseTurn(CommitReason reason, int64_t end) {
  end = std::max(end, turn_start_);
  TurnEvent event{.kind = TurnEvent::Kind::kCommitted,
                  .sample = config_.mode == TurnMode::kManual ? end : speech_end_,
                  .reason = reason,
                  .start = turn_start_,
                  .end = end,
                  .has_speech = config_.mode == TurnMode::kVad || speech_until_ > turn_start_};
  if (over_answer_ && config_.mode == TurnMode::kVad && config_.interruption_enabled) {
    const absl::Duration speech = SamplesToDuration(answer_active_ && !rest_ ? voiced_over_answer_ : voiced_);
    if (answer_active_ || speech < config_.interruption_min_duration) event.speech = speech;
  }
  open_ = false;
  rest_ = false;
  run_.reset();
  first_voiced_.reset();
  turn_floor_ = end;
  return event;
}

}  // namespace parley::streaming

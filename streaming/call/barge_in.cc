#include "streaming/call/barge_in.h"

#include <algorithm>
#include <utility>

namespace parley::streaming {

void BargeIn::GoesOn(absl::Duration speech, std::vector<float> samples) {
  speech_ = speech;
  if (speech <= kShort) return;
  // One question at a time: under load an answer to an older one is better than none.
  if (!asked_ && !deciding()) Ask(std::move(samples));
}

void BargeIn::Decide(UserTurn turn) {
  std::vector<float> samples = turn.utterance.samples;
  speech_ = std::max(speech_, turn.utterance.over_answer);
  turn_ = std::move(turn);
  Ask(std::move(samples));
}

void BargeIn::Reset() {
  ++question_;
  asked_ = false;
  speech_ = absl::ZeroDuration();
  if (!deciding()) return;
  UserTurn turn = *std::exchange(turn_, std::nullopt);
  host_->OnDecided(std::move(turn), /*words=*/true);
}

uint64_t BargeIn::Forget() {
  const uint64_t id = deciding() ? turn_->id : 0;
  turn_.reset();
  Reset();
  return id;
}

void BargeIn::Ask(std::vector<float> samples) {
  asked_ = true;
  conversation_->Transcribe(std::move(samples), [this, question = ++question_, sound = speech_](
                                                    const absl::StatusOr<engine::SpeechResult>& result) {
    OnWritten(question, sound, result);
  });
}

void BargeIn::OnWritten(uint64_t question, absl::Duration sound,
                        const absl::StatusOr<engine::SpeechResult>& result) {
  if (question != question_) return;
  asked_ = false;
  const bool sure = sound > kShort || (result.ok() && result->mean_log_probability >= kSureLogProbability);
  const bool words = !result.ok() || (result->heard && sure);
  if (deciding()) {
    UserTurn turn = *std::exchange(turn_, std::nullopt);
    speech_ = absl::ZeroDuration();
    host_->OnDecided(std::move(turn), words);
  } else if (words) {
    host_->OnWordsOverAnswer(speech_);
  }
}

}  // namespace parley::streaming

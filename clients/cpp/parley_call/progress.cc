#include "clients/cpp/parley_call/progress.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace parley::client {

void Progress::Observe(const v1::ServerMessage& event) {
  absl::MutexLock lock(&mutex_);
  ++events_;
  switch (event.payload_case()) {
    case v1::ServerMessage::kReady:
      ready_ = true;
      break;
    case v1::ServerMessage::kSpeechStarted:
      speaking_ = true;
      break;
    case v1::ServerMessage::kTurnCommitted:
      speaking_ = false;
      open_turns_.insert(event.turn_id());
      break;
    case v1::ServerMessage::kTranscript:
      // Where no words were recognised there is nothing to answer.
      if (event.transcript().text().empty()) open_turns_.erase(event.turn_id());
      break;
    case v1::ServerMessage::kResponseDone:
      open_turns_.erase(event.turn_id());
      ++answers_;
      break;
    case v1::ServerMessage::kInputStatus:
      last_frame_ = std::max(last_frame_, event.input_status().frame_id());
      break;
    case v1::ServerMessage::kError:
      failed_seqs_.insert(event.error().client_seq());
      break;
    default:
      break;
  }
}

void Progress::CallEnded() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

void Progress::Stop() {
  absl::MutexLock lock(&mutex_);
  stop_ = true;
}

bool Progress::WaitReady() {
  const auto done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ready_ || over(); };
  absl::MutexLock lock(&mutex_, absl::Condition(&done));
  return !over();
}

bool Progress::WaitSettled(absl::Duration quiet) {
  absl::MutexLock lock(&mutex_);
  while (!over()) {
    const uint64_t seen = events_;
    const auto changed = [this, seen]()
                             ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return events_ != seen || over(); };
    if (busy()) {
      mutex_.Await(absl::Condition(&changed));
    } else if (!mutex_.AwaitWithTimeout(absl::Condition(&changed), quiet)) {
      return true;
    }
  }
  return false;
}

bool Progress::WaitAnswer(uint64_t seq, int answers_before) {
  const auto done = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return answers_ > answers_before || failed_seqs_.contains(seq) || over();
  };
  absl::MutexLock lock(&mutex_, absl::Condition(&done));
  return !over();
}

int Progress::answers() const {
  absl::MutexLock lock(&mutex_);
  return answers_;
}

bool Progress::WaitFrame(uint64_t frame_id) {
  const auto done = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return last_frame_ >= frame_id || over(); };
  absl::MutexLock lock(&mutex_, absl::Condition(&done));
  return !over();
}

bool Progress::Sleep(absl::Duration duration) { return SleepUntil(absl::Now() + duration); }

bool Progress::SleepUntil(absl::Time time) {
  const auto done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return over(); };
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithDeadline(absl::Condition(&done), time);
}

void Progress::WaitStop() {
  const auto done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return over(); };
  absl::MutexLock lock(&mutex_, absl::Condition(&done));
}

}  // namespace parley::client

#include "engine/runtime/operation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace parley::engine {

Operation& Inbox::Push(decltype(Operation::what) what, absl::Time now) {
  Operation operation;
  operation.what = std::move(what);
  operation.order = ++last_order_;
  operation.queued = now;
  operation.speculative = speculative_after_ != 0;
  pending_.fetch_add(1, std::memory_order_relaxed);
  contents_.operations.push_back(std::move(operation));
  return contents_.operations.back();
}

bool Inbox::Refuse(Operation& operation) {
  if (pending() <= limit_) return false;
  operation.refused = absl::ResourceExhaustedError(
      absl::StrCat("the conversation has ", limit_, " operations that are not complete"));
  return true;
}

void Inbox::Frame(FrameOperation frame, absl::Time deadline, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  Operation& operation = Push(std::move(frame), now);
  operation.deadline = deadline;
  if (Refuse(operation)) std::get<FrameOperation>(operation.what).image.reset();
}

void Inbox::Speech(SpeechOperation speech, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  Operation& operation = Push(std::move(speech), now);
  if (Refuse(operation)) std::get<SpeechOperation>(operation.what).samples = {};
}

void Inbox::HearAhead(std::vector<float> samples) {
  absl::MutexLock lock(&mutex_);
  contents_.heard = std::move(samples);
}

void Inbox::Transcribe(TranscribeOperation transcription) {
  absl::MutexLock lock(&mutex_);
  // Those before it are completed by the model thread; their audio is not kept until then.
  for (TranscribeOperation& each : contents_.transcriptions) each.samples = {};
  contents_.transcriptions.push_back(std::move(transcription));
}

void Inbox::Text(TextOperation text, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  Operation& operation = Push(std::move(text), now);
  if (Refuse(operation)) std::get<TextOperation>(operation.what).text = {};
}

AnswerId Inbox::Answer(GenerationConfig config, std::shared_ptr<AnswerListener> listener, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  const AnswerId id = ++last_answer_;
  Refuse(Push(AnswerOperation{id, std::move(config), std::move(listener)}, now));
  return id;
}

void Inbox::Cancel(AnswerId answer) {
  absl::MutexLock lock(&mutex_);
  contents_.cancelled_answers.push_back(answer);
}

void Inbox::Trim(AnswerId answer, int tokens, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  Push(TrimOperation{answer, tokens}, now);
}

MarkId Inbox::PushMark(absl::Time now) {
  const MarkId id = ++last_mark_;
  marks_.emplace_back(id, Push(MarkOperation{id}, now).order);
  return id;
}

MarkId Inbox::Mark(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  return PushMark(now);
}

void Inbox::Rewind(MarkId mark, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  const auto found =
      std::find_if(marks_.begin(), marks_.end(), [&](const auto& m) { return m.first == mark; });
  if (found == marks_.end()) return;
  marks_.erase(found + 1, marks_.end());
  const uint64_t from = marks_.back().second;
  if (from <= speculative_after_) speculative_after_ = 0;
  contents_.cancelled_ranges.emplace_back(from, Push(RewindOperation{mark}, now).order);
}

MarkId Inbox::Speculate(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  const MarkId id = PushMark(now);
  if (speculative_after_ == 0) speculative_after_ = last_order_;
  return id;
}

void Inbox::Promote() {
  absl::MutexLock lock(&mutex_);
  if (speculative_after_ == 0) return;
  speculative_after_ = 0;
  contents_.promoted = last_order_;
}

void Inbox::Close() {
  absl::MutexLock lock(&mutex_);
  contents_.closed = true;
}

Inbox::Contents Inbox::Take() {
  absl::MutexLock lock(&mutex_);
  Contents taken;
  std::swap(taken, contents_);
  return taken;
}

}  // namespace parley::engine

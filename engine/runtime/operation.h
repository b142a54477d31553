// What a conversation was asked to do, and the inbox through which it is asked.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/api/conversation.h"

namespace parley::engine {

struct FrameOperation {
  ImagePtr image;
  Conversation::Done<FrameResult> done;
};
struct SpeechOperation {
  std::vector<float> samples;
  Conversation::Done<SpeechResult> done;
};
// Not queued: see Conversation::Transcribe.
struct TranscribeOperation {
  std::vector<float> samples;
  Conversation::Done<SpeechResult> done;
  absl::Time queued;
};
struct TextOperation {
  std::string text;
  Conversation::Done<TextResult> done;
};
struct AnswerOperation {
  AnswerId answer = 0;
  GenerationConfig config;
  std::shared_ptr<AnswerListener> listener;
};
struct TrimOperation {
  AnswerId answer = 0;
  int tokens = 0;
};
struct MarkOperation {
  MarkId mark = 0;
};
struct RewindOperation {
  MarkId mark = 0;
};

struct Operation {
  std::variant<FrameOperation, SpeechOperation, TextOperation, AnswerOperation, TrimOperation, MarkOperation,
               RewindOperation>
      what;
  uint64_t order = 0;  // counts the conversation's operations from 1
  absl::Time queued;
  absl::Time deadline = absl::InfiniteFuture();
  bool speculative = false;
  bool cancelled = false;  // it completes with CANCELLED
  absl::Status refused;    // not OK: it completes with this when its turn comes
};

// Thread-safe: filled by the conversation's callers, emptied by the model thread.
class Inbox {
 public:
  // What came since the last Take.
  struct Contents {
    std::deque<Operation> operations;
    std::vector<AnswerId> cancelled_answers;
    // Orders of operations to cancel: after the first, before the second.
    std::vector<std::pair<uint64_t, uint64_t>> cancelled_ranges;
    std::optional<std::vector<float>> heard;          // see Conversation::HearAhead: the newest
    std::vector<TranscribeOperation> transcriptions;  // the last one counts
    uint64_t promoted = 0;  // operations up to this order are not speculative any more
    bool closed = false;
  };

  // Holds at most `limit` operations that append or answer, taken and not yet complete included; one more is
  // refused with RESOURCE_EXHAUSTED in its turn, its payload dropped at once.
  explicit Inbox(int limit) : limit_(limit) {}

  void Frame(FrameOperation frame, absl::Time deadline, absl::Time now);
  void Speech(SpeechOperation speech, absl::Time now);
  void HearAhead(std::vector<float> samples);
  void Transcribe(TranscribeOperation transcription);
  void Text(TextOperation text, absl::Time now);
  AnswerId Answer(GenerationConfig config, std::shared_ptr<AnswerListener> listener, absl::Time now);
  void Cancel(AnswerId answer);
  void Trim(AnswerId answer, int tokens, absl::Time now);
  MarkId Mark(absl::Time now);
  void Rewind(MarkId mark, absl::Time now);
  MarkId Speculate(absl::Time now);
  void Promote();
  void Close();

  Contents Take();
  // An operation that Take gave is complete.
  void Completed() { pending_.fetch_sub(1, std::memory_order_relaxed); }
  int pending() const { return pending_.load(std::memory_order_relaxed); }

 private:
  Operation& Push(decltype(Operation::what) what, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  MarkId PushMark(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether one more is over the limit; if so marks it refused.
  bool Refuse(Operation& operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int limit_;
  std::atomic<int> pending_{0};
  absl::Mutex mutex_;
  Contents contents_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_order_ ABSL_GUARDED_BY(mutex_) = 0;
  AnswerId last_answer_ ABSL_GUARDED_BY(mutex_) = 0;
  MarkId last_mark_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::pair<MarkId, uint64_t>> marks_ ABSL_GUARDED_BY(mutex_);  // with their orders
  uint64_t speculative_after_ ABSL_GUARDED_BY(mutex_) = 0;  // order of the mark; 0: nothing is speculative
};

}  // namespace parley::engine

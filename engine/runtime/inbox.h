// What a conversation was asked to do, on its way from the callers to the model thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/api/conversation.h"

namespace parley::engine {

struct QueuedOperation {
  op::Queued what;
  uint64_t id = 0;     // of the answer or the mark that it makes; else 0
  uint64_t order = 0;  // counts the conversation's queued operations from 1
  // Of a Rewind: the order of its mark. What was queued between the two is cancelled. Else 0.
  uint64_t mark_order = 0;
  absl::Time queued;
  bool speculative = false;
  bool cancelled = false;  // it completes with CANCELLED
  absl::Status refused;    // not OK: it completes with this when its turn comes
};

struct ImmediateOperation {
  op::Immediate what;
  uint64_t order = 0;  // of the operation queued last before it
  absl::Time given;
  bool superseded = false;  // by a newer one of its kind: it completes with CANCELLED
};

// Operations that say how they ended. Only these can be cancelled or refused.
template <typename Op>
inline constexpr bool kHasOutcome = op::HasDone<Op> || std::is_same_v<Op, op::Answer>;

bool HasOutcome(const op::Queued& operation);

// Thread-safe: filled by the conversation's callers, emptied by the model thread.
class Inbox {
 public:
  // What came since the last Take, in order.
  struct Contents {
    std::vector<QueuedOperation> queued;
    std::vector<ImmediateOperation> immediate;
    bool closed = false;
  };

  // Holds at most `limit` queued operations, those taken and not yet complete included. One more that has an
  // outcome is refused with RESOURCE_EXHAUSTED in its turn; what it was given is dropped at once.
  explicit Inbox(int limit) : limit_(limit) {}

  // See Conversation::Submit.
  uint64_t Submit(Operation operation, absl::Time now);
  void Close();

  Contents Take();
  // An operation that Take gave is complete.
  void Completed() { pending_.fetch_sub(1, std::memory_order_relaxed); }
  int pending() const { return pending_.load(std::memory_order_relaxed); }

 private:
  uint64_t Queue(op::Queued what, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(op::Immediate what, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // What is decided when an operation is given. Most need nothing. False: the operation is a no-op.
  template <typename Op>
  bool Admit(const Op&, QueuedOperation&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return true;
  }
  bool Admit(const op::Answer&, QueuedOperation& operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Admit(const op::Mark&, QueuedOperation& operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Admit(const op::Speculate&, QueuedOperation& operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Admit(const op::Rewind& rewind, QueuedOperation& operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  template <typename Op>
  bool Admit(const Op&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return true;
  }
  bool Admit(const op::TranscribeEarly&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Admit(const op::Transcribe&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Admit(const op::Promote&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

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

// How many of a call's messages wait to be acted on: the owner stops reading its stream while too many do,
// and goes on when half of them are done. Messages of text and control; audio and frames have bounds of their
// own.
#pragma once

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"

namespace parley::streaming {

// Thread-safe. Held by the call and by each of its tickets.
class MessageBacklog : public std::enable_shared_from_this<MessageBacklog> {
 public:
  // So few that a client that sends its largest texts while a frame is decoded takes a few megabytes.
  static constexpr int kMost = 128;

  // One message; gone, it was acted on, or never will be.
  class Ticket {
   public:
    explicit Ticket(std::shared_ptr<MessageBacklog> backlog) : backlog_(std::move(backlog)) {
      backlog_->Add(1);
    }
    Ticket(Ticket&& other) = default;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() {
      if (backlog_ != nullptr) backlog_->Add(-1);
    }

   private:
    std::shared_ptr<MessageBacklog> backlog_;
  };

  Ticket Take() { return Ticket(shared_from_this()); }
  bool full() const {
    absl::MutexLock lock(&mutex_);
    return waiting_ > kMost;
  }
  // Runs once when half of kMost wait, or fewer: at once, or where the ticket goes that makes it so. Replaces
  // an earlier one.
  void NotifyWhenDrained(Task notify) {
    {
      absl::MutexLock lock(&mutex_);
      drained_ = std::move(notify);
    }
    Add(0);
  }

 private:
  void Add(int messages) {
    Task drained;
    {
      absl::MutexLock lock(&mutex_);
      waiting_ += messages;
      if (waiting_ <= kMost / 2) drained = std::exchange(drained_, nullptr);
    }
    if (drained) drained();
  }

  mutable absl::Mutex mutex_;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  Task drained_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley::streaming

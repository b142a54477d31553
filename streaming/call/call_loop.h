// The call's strand with a door: once closed, nothing that was posted runs any more and late completions of
// the engine or the detector go nowhere, so that they cannot touch a call, or an executor, that is gone.
#pragma once

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"

namespace parley::streaming {

// Thread-safe. Held by shared pointer: by the call and by every completion under way.
class CallLoop : public std::enable_shared_from_this<CallLoop> {
 public:
  explicit CallLoop(Executor* executor) : strand_(executor) {}

  // Tasks run only while `owner` lives, and keep it alive while they do. Once, before the first Post.
  void SetOwner(std::weak_ptr<void> owner) {
    absl::MutexLock lock(&mutex_);
    owner_ = std::move(owner);
  }

  void Post(Task task) {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    strand_.Post([self = shared_from_this(), task = std::move(task)]() mutable {
      if (const std::shared_ptr<void> owner = self->OwnerIfOpen()) task();
    });
  }

  // A task that runs now ends by itself; no other starts.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

 private:
  std::shared_ptr<void> OwnerIfOpen() {
    absl::MutexLock lock(&mutex_);
    return closed_ ? nullptr : owner_.lock();
  }

  absl::Mutex mutex_;
  Strand strand_ ABSL_GUARDED_BY(mutex_);
  std::weak_ptr<void> owner_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace parley::streaming

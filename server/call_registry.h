// The calls of this server: who may come in, who is here, and the clock's duties for all of them.
//
// Thread-safe. One thread ticks every call about ten times a second. Lock order: this before a call's own; no
// call is called with the lock held.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "server/codes.h"

namespace parley::server {

// What the registry asks of a call; each from any thread.
class RegisteredCall {
 public:
  virtual ~RegisteredCall() = default;
  virtual void Tick(absl::Time now) = 0;
  // Tells the client that the server goes down.
  virtual void Drain(absl::Duration time_left) = 0;
  // Ends the call now.
  virtual void Cut(Fault fault) = 0;
};

class CallRegistry {
 public:
  struct Limits {
    int max_calls = 0;
    absl::Duration retry_after;
    absl::Duration tick;
  };

  CallRegistry(Limits limits, const Clock* clock);
  // REQUIRES: no call is left.
  ~CallRegistry();

  struct Admission {
    std::string call_id;
    std::optional<Fault> refused;  // not admitted
  };
  // Counts the call in, unless there is no room, the server is not ready or it goes down. A call that is
  // refused is registered too, until its stream has ended: shutting down waits for it.
  Admission Add(std::shared_ptr<RegisteredCall> call) ABSL_LOCKS_EXCLUDED(mutex_);
  // The call's stream has ended. Drops the registry's reference.
  void Remove(const RegisteredCall* call) ABSL_LOCKS_EXCLUDED(mutex_);

  void SetReady() ABSL_LOCKS_EXCLUDED(mutex_);
  // No calls from now on; those that are here are cut when `limit` is over.
  void Drain(absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);
  // Cuts every call now.
  void CutAll() ABSL_LOCKS_EXCLUDED(mutex_);
  // Blocks until no call is left.
  void WaitUntilEmpty() ABSL_LOCKS_EXCLUDED(mutex_);
  bool draining() const ABSL_LOCKS_EXCLUDED(mutex_);
  int calls() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    std::shared_ptr<RegisteredCall> call;
    bool admitted = false;
  };

  void Run();
  std::vector<std::shared_ptr<RegisteredCall>> Snapshot() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<const RegisteredCall*, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  int admitted_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time cut_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::BitGen random_ ABSL_GUARDED_BY(mutex_);
  std::thread ticker_;
};

// What a call that is cut by a shutdown is told.
Fault ShuttingDown();

}  // namespace parley::server

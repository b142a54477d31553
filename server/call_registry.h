// The calls of this server: who may come in, who is here, and the clock's duties for all of them.
//
// A stream costs next to nothing until it has said what call it opens: only then does it get a place, or wait
// for one. Of the streams that have not, there are so many at most; when one more comes, the oldest is ended,
// as a client opens its call at once and an attacker need not.
//
// Thread-safe. One thread ticks every call about ten times a second. Lock order: this before a call's own; no
// call is called with the lock held.
#pragma once

#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "server/codes.h"

namespace parley::server {

// Where a stream stands that waits for a place.
struct QueuePlace {
  int position = 0;                              // from 1
  std::optional<absl::Duration> estimated_wait;  // by how long calls lasted so far; nothing: not known
};

// What the registry asks of a call; each from any thread.
class RegisteredCall {
 public:
  virtual ~RegisteredCall() = default;
  // It has a place. Once, and only after Enter said that it waits.
  virtual void Admit() = 0;
  // Its place in the queue, at first and when it has changed. On the ticking thread, as Admit.
  virtual void Wait(QueuePlace place) = 0;
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
    int max_waiting = 0;
    // Of one peer: calls, those that wait included, and those that wait. 0: as many as of all.
    int max_calls_per_peer = 0;
    int max_waiting_per_peer = 0;
    int max_opening = 256;  // streams that have opened no call yet
    absl::Duration max_wait;
    absl::Duration retry_after;  // at least
    absl::Duration tick;
  };

  // `look_at_engine` is called without a lock before each tick and for each arrival, from any thread, and
  // maybe before the constructor has returned. It tells what it finds by SetEngineRoom, SetUnready and
  // FailAll.
  CallRegistry(Limits limits, const Clock* clock, std::function<void()> look_at_engine);
  // REQUIRES: no call is left.
  ~CallRegistry();

  // 16 hexadecimal digits that no other call has.
  std::string NewCallId() ABSL_LOCKS_EXCLUDED(mutex_);

  struct Admission {
    std::optional<Fault> refused;
    std::optional<QueuePlace> waits;  // it will be told so, then admitted or cut
  };
  // A stream has arrived. `peer`: whom limits count it to; empty: nobody. A fault: it is refused, when the
  // server is not ready or goes down, or its peer has as many streams as it may. It is registered then, too,
  // until it has ended: shutting down waits for it.
  std::optional<Fault> Arrive(std::shared_ptr<RegisteredCall> call, std::string peer)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // It has said what call it opens. Gives it a place, or lets it wait in order, or refuses it. Once, after
  // Arrive let it in.
  Admission Enter(const RegisteredCall* call) ABSL_LOCKS_EXCLUDED(mutex_);
  // The call's stream has ended. Drops the registry's reference.
  void Remove(const RegisteredCall* call) ABSL_LOCKS_EXCLUDED(mutex_);

  // From now on calls are taken; or, with a fault, refused with it. At first: refused, warming up.
  void SetReady() ABSL_LOCKS_EXCLUDED(mutex_);
  void SetUnready(Fault why) ABSL_LOCKS_EXCLUDED(mutex_);
  // The engine holds so many conversations, and takes so many more; and why no more.
  void SetEngineRoom(int conversations, int more, std::string why) ABSL_LOCKS_EXCLUDED(mutex_);
  // No calls from now on; those that are here are cut when `limit` is over.
  void Drain(absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends every call that is here, those that wait included.
  void FailAll(const Fault& fault) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same because the server goes down; no calls from now on.
  void CutAll() ABSL_LOCKS_EXCLUDED(mutex_);
  // Blocks until no call is left.
  void WaitUntilEmpty() ABSL_LOCKS_EXCLUDED(mutex_);
  bool draining() const ABSL_LOCKS_EXCLUDED(mutex_);
  int calls() const ABSL_LOCKS_EXCLUDED(mutex_);    // that have a place
  int waiting() const ABSL_LOCKS_EXCLUDED(mutex_);  // for one

 private:
  enum class State { kRefused, kOpening, kWaiting, kAdmitted };
  struct Entry {
    std::shared_ptr<RegisteredCall> call;
    std::string peer;
    State state = State::kRefused;
    absl::Time since;  // in this state
    int told = 0;      // its position as it knows it; 0: not yet
  };
  // What calls are told once the lock is gone.
  struct News {
    std::vector<std::shared_ptr<RegisteredCall>> admitted;
    std::vector<std::pair<std::shared_ptr<RegisteredCall>, QueuePlace>> moved;
    std::vector<std::pair<std::shared_ptr<RegisteredCall>, Fault>> given_up;
  };

  struct PeerCounts {
    int opening = 0;
    int waiting = 0;
    int admitted = 0;
    int& of(State state) {
      return state == State::kOpening ? opening : state == State::kWaiting ? waiting : admitted;
    }
  };

  void Run();
  // The fault, while no call is taken at all.
  std::optional<Fault> Closed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves the entry to `state`, with all that is counted by it.
  void SetState(Entry& entry, State state, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Fault PeerIsFull(absl::string_view what, int most) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives places to those that wait, as far as there are any.
  News Settle(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasPlace() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  QueuePlace PlaceAt(size_t index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Fault AtCapacity(absl::string_view more) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::shared_ptr<RegisteredCall>> Snapshot() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  const Clock* const clock_;
  const std::function<void()> look_at_engine_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<const RegisteredCall*, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::deque<const RegisteredCall*> opening_ ABSL_GUARDED_BY(mutex_);  // in order; all in entries_
  std::deque<const RegisteredCall*> waiting_ ABSL_GUARDED_BY(mutex_);  // the same
  int admitted_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, PeerCounts> peers_ ABSL_GUARDED_BY(mutex_);  // that have a stream
  std::optional<absl::Duration> call_length_ ABSL_GUARDED_BY(mutex_);  // smoothed, of those that ended
  std::optional<Fault> unready_ ABSL_GUARDED_BY(mutex_);
  int engine_holds_ ABSL_GUARDED_BY(mutex_) = 0;
  int engine_room_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<int>::max();
  std::string engine_full_why_ ABSL_GUARDED_BY(mutex_);
  // Someone has joined the queue, or may leave it: do not wait for the next tick.
  bool unsettled_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time cut_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::BitGen random_ ABSL_GUARDED_BY(mutex_);
  std::thread ticker_;
};

// What a call that is cut by a shutdown is told.
Fault ShuttingDown();

}  // namespace parley::server

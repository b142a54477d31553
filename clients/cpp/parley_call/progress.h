// How far a call has come, for the thread that sends: ready, answered, ended, or asked to stop by the user.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "parley/v1/parley.pb.h"

namespace parley::client {

// Thread-safe. Every wait also ends, with false, when the call has ended or Stop was called.
class Progress {
 public:
  void Observe(const v1::ServerMessage& event);
  void CallEnded();
  void Stop();  // the user wants to hang up

  bool WaitReady();
  // Until no speech, no turn and no answer is under way and nothing has come for `quiet`.
  bool WaitSettled(absl::Duration quiet);
  // Until the message numbered `seq` has its answer, or an error; `answers_before` was taken before it was
  // sent.
  bool WaitAnswer(uint64_t seq, int answers_before);
  int answers() const;
  // Until the server has said what became of the frame.
  bool WaitFrame(uint64_t frame_id);
  // For `duration`, or until `time`.
  bool Sleep(absl::Duration duration);
  bool SleepUntil(absl::Time time);
  // Until the end or Stop.
  void WaitStop();

 private:
  bool over() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_ || stop_; }
  bool busy() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return speaking_ || !open_turns_.empty(); }

  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool speaking_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<uint64_t> open_turns_ ABSL_GUARDED_BY(mutex_);  // committed, not answered
  int answers_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t events_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<uint64_t> failed_seqs_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_frame_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace parley::client

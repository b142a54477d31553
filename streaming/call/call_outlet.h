// Where a call's events leave: stamps them with the epoch, and is the door that Abort shuts.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "streaming/api/call_events.h"
#include "streaming/call/live_call.h"

namespace parley::streaming {

// Emit and RaiseEpoch: the call's strand. Close: any thread.
class CallOutlet {
 public:
  explicit CallOutlet(CallSink* sink) : sink_(sink) {}

  void Emit(decltype(CallEvent::payload) payload, uint64_t turn_id = 0, uint64_t response_id = 0) {
    absl::MutexLock lock(&delivery_);
    if (closed_.load()) return;
    delivering_.store(std::this_thread::get_id());
    sink_->OnEvent(
        {.epoch = epoch_, .turn_id = turn_id, .response_id = response_id, .payload = std::move(payload)});
    delivering_.store({});
  }

  // What is emitted from now on belongs to a newer turn, or comes after an interruption.
  void RaiseEpoch() { ++epoch_; }

  // Nothing reaches the sink after this returns; waits for an OnEvent under way, unless it is called within
  // it.
  void Close() {
    if (delivering_.load() == std::this_thread::get_id()) {
      closed_.store(true);
      return;
    }
    absl::MutexLock lock(&delivery_);
    closed_.store(true);
  }
  bool closed() const { return closed_.load(); }

 private:
  CallSink* const sink_;
  absl::Mutex delivery_;  // held while the sink is called
  std::atomic<std::thread::id> delivering_{};
  std::atomic<bool> closed_ = false;
  uint64_t epoch_ = 0;  // strand only
};

}  // namespace parley::streaming

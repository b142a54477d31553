#include "engine/kernels/thread_team.h"

#include <algorithm>

namespace parley::engine::kernels {
namespace {

// About 20 us: the time between two loops of one step is shorter, between two steps it is not.
constexpr int kSpins = 2000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadTeam::ThreadTeam(int threads) {
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this] { Help(); });
}

ThreadTeam::~ThreadTeam() {
  stopping_.store(true, std::memory_order_release);
  state_.fetch_add(kLoop, std::memory_order_acq_rel);
  state_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadTeam::For(int count, int grain, absl::FunctionRef<void(int, int)> body) {
  if (count <= 0) return;
  grain = std::max(grain, 1);
  if (helpers_.empty() || count <= grain) {
    for (int begin = 0; begin < count; begin += grain) body(begin, std::min(begin + grain, count));
    return;
  }
  count_ = count;
  grain_ = grain;
  body_ = &body;
  next_.store(0, std::memory_order_relaxed);
  state_.store((state_.load(std::memory_order_relaxed) + kLoop) | kOpen, std::memory_order_release);
  state_.notify_all();
  TakePieces();
  state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  for (int spins = 0; (state_.load(std::memory_order_acquire) & kInside) != 0; ++spins) {
    // A helper that was put aside in the middle of a piece needs the processor more than this thread does.
    if (spins < kSpins) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadTeam::TakePieces() {
  for (;;) {
    const int begin = next_.fetch_add(grain_, std::memory_order_relaxed);
    if (begin >= count_) return;
    (*body_)(begin, std::min(begin + grain_, count_));
  }
}

void ThreadTeam::Help() {
  uint64_t seen =
      0;  // not what state_ says now: the team may have worked, or stopped, before this thread began
  for (;;) {
    uint64_t state = state_.load(std::memory_order_acquire);
    for (int spins = 0; state / kLoop == seen && spins < kSpins; ++spins) {
      Pause();
      state = state_.load(std::memory_order_acquire);
    }
    while (state / kLoop == seen) {
      state_.wait(state, std::memory_order_acquire);
      state = state_.load(std::memory_order_acquire);
    }
    if (stopping_.load(std::memory_order_acquire)) return;
    seen = state / kLoop;
    // Enters only while the loop is open, so that its fields cannot change under it.
    while ((state & kOpen) != 0 && state / kLoop == seen) {
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        TakePieces();
        state_.fetch_sub(1, std::memory_order_release);
        break;
      }
    }
  }
}

}  // namespace parley::engine::kernels

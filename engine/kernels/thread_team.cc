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

ThreadTeam::ThreadTeam(int threads) : stretches_(std::max(threads, 1)) {
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { Help(i); });
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
  grain_ = grain;
  body_ = &body;
  const int64_t pieces = (count + grain - 1) / grain;
  for (size_t i = 0; i < stretches_.size(); ++i) {
    const auto from = [&](size_t thread) {
      return static_cast<int>(pieces * static_cast<int64_t>(thread) /
                              static_cast<int64_t>(stretches_.size())) *
             grain;
    };
    stretches_[i].next.store(from(i), std::memory_order_relaxed);
    stretches_[i].end = std::min(from(i + 1), count);
  }
  state_.store((state_.load(std::memory_order_relaxed) + kLoop) | kOpen, std::memory_order_release);
  state_.notify_all();
  TakePieces(0);
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

void ThreadTeam::TakePieces(int thread) {
  const int threads = this->threads();
  for (int i = 0; i < threads; ++i) {
    Stretch& stretch = stretches_[(thread + i) % threads];
    for (;;) {
      const int begin = stretch.next.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= stretch.end) break;
      (*body_)(begin, std::min(begin + grain_, stretch.end));
    }
  }
}

void ThreadTeam::Help(int thread) {
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
        TakePieces(thread);
        state_.fetch_sub(1, std::memory_order_release);
        break;
      }
    }
  }
}

}  // namespace parley::engine::kernels

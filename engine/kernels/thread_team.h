// A few threads that share one loop at a time: the fork and join of a kernel call, thousands of times a
// second.
//
// The caller takes part and never waits for a helper that has not begun: one that sleeps, or that the machine
// has put aside, costs nothing but its help. Helpers spin for a moment between loops of one step, then sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace parley::engine::kernels {

class ThreadTeam {
 public:
  // `threads` counts the caller: 1 makes no helper.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  // Calls body(begin, end) for pieces of [0, count), each at most `grain` long; returns when all are done.
  // Each thread has a stretch of its own, which it takes piece by piece from the front, so that memory is
  // read in order; who is done with it goes on with the others'. One caller at a time; body must not call
  // For.
  void For(int count, int grain, absl::FunctionRef<void(int begin, int end)> body);

 private:
  // What is left of a thread's stretch.
  struct alignas(64) Stretch {
    std::atomic<int> next{0};
    int end = 0;
  };

  void Help(int thread);
  void TakePieces(int thread);

  // Bits 0-15: helpers inside the loop. Bit 16: the loop is open to helpers. The rest: loops begun.
  static constexpr uint64_t kOpen = 1 << 16;
  static constexpr uint64_t kLoop = 1 << 17;
  static constexpr uint64_t kInside = kOpen - 1;

  std::atomic<uint64_t> state_{0};
  std::atomic<bool> stopping_{false};
  // Of the loop under way; written while no helper is inside.
  std::vector<Stretch> stretches_;  // by thread; the caller's first
  int grain_ = 1;
  const absl::FunctionRef<void(int, int)>* body_ = nullptr;
  std::vector<std::thread> helpers_;
};

}  // namespace parley::engine::kernels

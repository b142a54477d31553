// Where work runs. Code that must not block its caller posts a task; tests inject an executor that they
// drive.
#pragma once

#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace parley {

using Task = absl::AnyInvocable<void()>;

// Thread-safe. Tasks never run inside Post.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(Task task) = 0;
};

// A fixed number of threads over one queue. Destruction runs every task that was posted, then joins.
// The queue is not bounded here: whoever posts bounds what it has under way (see each caller's policy).
class ThreadPool : public Executor {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool() override;
  void Post(Task task) override;

 private:
  void Run();

  absl::Mutex mutex_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

// Runs its tasks one after the other, in order, on another executor: state that only a strand's tasks touch
// needs no lock. May be destroyed while tasks wait: they still run.
class Strand : public Executor {
 public:
  // `executor` must outlive the strand's tasks.
  explicit Strand(Executor* executor);
  ~Strand() override;
  void Post(Task task) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Runs nothing until the test says so. Thread-safe.
class ManualExecutor : public Executor {
 public:
  void Post(Task task) override;
  // Runs tasks, and those that they post, until none is left; returns how many ran.
  int RunUntilIdle();

 private:
  absl::Mutex mutex_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley

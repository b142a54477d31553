#include "base/executor.h"

#include <utility>

namespace parley {

ThreadPool::ThreadPool(int threads) {
  threads_.reserve(threads);
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

ThreadPool::~ThreadPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
}

void ThreadPool::Run() {
  for (;;) {
    Task task;
    {
      absl::MutexLock lock(&mutex_);
      auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !tasks_.empty(); };
      mutex_.Await(absl::Condition(&ready));
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

struct Strand::State : std::enable_shared_from_this<Strand::State> {
  explicit State(Executor* on) : executor(on) {}

  void RunNext() {
    Task task;
    {
      absl::MutexLock lock(&mutex);
      task = std::move(tasks.front());
      tasks.pop_front();
    }
    task();
    task = nullptr;  // what it holds is released before the next one starts
    absl::MutexLock lock(&mutex);
    if (tasks.empty()) {
      scheduled = false;
    } else {
      // One task a turn: strands on one pool share it fairly.
      executor->Post([self = shared_from_this()] { self->RunNext(); });
    }
  }

  Executor* const executor;
  absl::Mutex mutex;
  std::deque<Task> tasks ABSL_GUARDED_BY(mutex);
  bool scheduled ABSL_GUARDED_BY(mutex) = false;
};

Strand::Strand(Executor* executor) : state_(std::make_shared<State>(executor)) {}
Strand::~Strand() = default;

void Strand::Post(Task task) {
  absl::MutexLock lock(&state_->mutex);
  state_->tasks.push_back(std::move(task));
  if (state_->scheduled) return;
  state_->scheduled = true;
  state_->executor->Post([state = state_] { state->RunNext(); });
}

void ManualExecutor::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
}

int ManualExecutor::RunUntilIdle() {
  int ran = 0;
  for (;; ++ran) {
    Task task;
    {
      absl::MutexLock lock(&mutex_);
      if (tasks_.empty()) return ran;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace parley

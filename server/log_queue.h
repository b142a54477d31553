// Lines on their way to a file descriptor that may be slow, or may never take them: a pipe that nobody reads,
// a stopped terminal. Whoever logs never waits for it.
//
// Policy: lines that are not written yet take at most `max_bytes`. A line that does not fit is dropped and
// counted; where lines are missing, a line says how many.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace parley::server {

// Thread-safe.
class LogQueue {
 public:
  // `fd` is not owned, must stay open, and keeps its flags: others may share it. `say_lost` makes the line
  // that tells of lost ones; it is called under the queue's lock.
  LogQueue(int fd, size_t max_bytes, std::function<std::string(int64_t lines)> say_lost);
  // Does not wait for what is not written.
  ~LogQueue();

  // `line` ends with a newline.
  void Push(std::string line);
  // Waits until all is written, at most `limit`. False: something is not.
  bool Flush(absl::Duration limit);
  // Lines that were dropped, or that `fd` refused.
  int64_t lost() const;

 private:
  struct Line {
    std::string text;
    int64_t lost = 0;  // 0: a line as it was pushed; else: it says that so many were lost
  };

  void Run();
  // False: `fd` refused them, or the queue stops.
  bool Write(std::string_view bytes);
  bool WaitUntilWritable();
  void Append(Line line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseGap() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int fd_;
  const size_t max_bytes_;
  const std::function<std::string(int64_t)> say_lost_;
  int stop_fd_ = -1;  // readable once the thread should end

  mutable absl::Mutex mutex_;
  std::deque<Line> lines_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of the lines and of what is being written
  int64_t gap_ ABSL_GUARDED_BY(mutex_) = 0;   // lines lost that no line tells of yet
  // `fd` refused the last lines: the gap is told with the next line that is pushed, not at once.
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t lost_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace parley::server

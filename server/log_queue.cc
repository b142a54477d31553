#include "server/log_queue.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <utility>

namespace parley::server {

LogQueue::LogQueue(int fd, size_t max_bytes, std::function<std::string(int64_t)> say_lost)
    : fd_(fd), max_bytes_(max_bytes), say_lost_(std::move(say_lost)), stop_fd_(eventfd(0, EFD_CLOEXEC)) {
  // The thread takes no signal; a reader that is gone is an error of write, not the end of the process.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LogQueue::~LogQueue() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  eventfd_write(stop_fd_, 1);
  thread_.join();
  close(stop_fd_);
}

void LogQueue::Push(std::string line) {
  absl::MutexLock lock(&mutex_);
  if (bytes_ + line.size() > max_bytes_) {
    ++gap_;
    ++lost_;
    return;
  }
  CloseGap();
  Append({std::move(line)});
}

bool LogQueue::Flush(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return bytes_ == 0 && (gap_ == 0 || refused_);
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&done), limit);
}

int64_t LogQueue::lost() const {
  absl::MutexLock lock(&mutex_);
  return lost_;
}

void LogQueue::Append(Line line) {
  bytes_ += line.text.size();
  lines_.push_back(std::move(line));
}

void LogQueue::CloseGap() {
  if (gap_ == 0) return;
  const int64_t lost = std::exchange(gap_, 0);
  Append({say_lost_(lost), lost});
}

void LogQueue::Run() {
  while (true) {
    std::string some;
    int64_t pushed = 0;
    int64_t told_lost = 0;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !lines_.empty() || (gap_ > 0 && !refused_);
      };
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) return;
      if (lines_.empty()) CloseGap();
      while (!lines_.empty() && (some.empty() || some.size() + lines_.front().text.size() <= PIPE_BUF)) {
        some += lines_.front().text;
        told_lost += lines_.front().lost;
        pushed += lines_.front().lost == 0 ? 1 : 0;
        lines_.pop_front();
      }
    }
    const bool written = Write(some);
    absl::MutexLock lock(&mutex_);
    bytes_ -= some.size();
    refused_ = !written;
    if (!written) {
      lost_ += pushed;
      gap_ += pushed + told_lost;
    }
  }
}

bool LogQueue::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!WaitUntilWritable()) return false;
    // A pipe that can be written to takes so many bytes without blocking.
    const ssize_t n = write(fd_, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EINTR && errno != EAGAIN) {
      return false;
    }
  }
  return true;
}

bool LogQueue::WaitUntilWritable() {
  pollfd wait[] = {{.fd = fd_, .events = POLLOUT, .revents = 0},
                   {.fd = stop_fd_, .events = POLLIN, .revents = 0}};
  while (poll(wait, 2, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return wait[1].revents == 0;
}

}  // namespace parley::server

#include "streaming/turn/detector_thread.h"

#include <atomic>
#include <deque>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace parley::streaming {
namespace {

using engine::SpeechDetector;
using DetectionDone = absl::AnyInvocable<void(absl::StatusOr<float>)>;

struct PendingWindow {
  std::vector<float> samples;
  DetectionDone done;
};

// Shared by a stream and the batch that holds one of its windows. Its fields are guarded by the thread's
// mutex, but for `state`, which only the detecting thread touches.
struct StreamQueue {
  std::unique_ptr<SpeechDetector::State> state;
  std::deque<PendingWindow> pending;
  bool ready = false;   // in the ready list
  bool closed = false;  // nothing may be called back any more
};
using StreamQueuePtr = std::shared_ptr<StreamQueue>;

class BatchingDetectorThread : public DetectorThread {
 public:
  explicit BatchingDetectorThread(SpeechDetector* detector)
      : detector_(detector), thread_([this] { Run(); }) {}

  ~BatchingDetectorThread() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    thread_.join();
  }

  std::unique_ptr<Stream> NewStream() override;

  void Push(const StreamQueuePtr& queue, PendingWindow window) {
    absl::MutexLock lock(&mutex_);
    queue->pending.push_back(std::move(window));
    if (queue->ready) return;
    queue->ready = true;
    ready_.push_back(queue);
  }

  void Close(const StreamQueuePtr& queue) {
    std::deque<PendingWindow> dropped;  // destroyed without the lock: callbacks may hold anything
    absl::MutexLock lock(&mutex_);
    queue->closed = true;
    dropped.swap(queue->pending);
    if (std::this_thread::get_id() == thread_.get_id()) return;  // within its own callback
    auto not_running = [this, &queue]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return running_ != queue.get(); };
    mutex_.Await(absl::Condition(&not_running));
  }

 private:
  struct BatchItem {
    StreamQueuePtr queue;
    PendingWindow window;
  };

  void Run() {
    for (std::vector<BatchItem> batch; TakeBatch(&batch);) {
      std::vector<SpeechDetector::Window> windows;
      windows.reserve(batch.size());
      for (const BatchItem& item : batch) {
        windows.push_back({.state = item.queue->state.get(), .samples = item.window.samples});
      }
      const absl::Status status = detector_->Detect(absl::MakeSpan(windows));
      for (size_t i = 0; i < batch.size(); ++i) {
        // Of a batch that fails each window is tried alone: one call's must not cost the others theirs.
        const absl::Status own =
            status.ok() || batch.size() == 1 ? status : detector_->Detect(absl::MakeSpan(&windows[i], 1));
        if (!BeginCallback(batch[i].queue.get())) continue;
        batch[i].window.done(own.ok() ? absl::StatusOr<float>(windows[i].probability) : own);
        EndCallback();
      }
    }
  }

  // One window of each stream that has any, the stream that has waited longest first. False: stop.
  bool TakeBatch(std::vector<BatchItem>* batch) {
    batch->clear();
    absl::MutexLock lock(&mutex_);
    for (;;) {
      auto wake = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !ready_.empty(); };
      mutex_.Await(absl::Condition(&wake));
      if (stopping_) return false;
      std::deque<StreamQueuePtr> streams;
      streams.swap(ready_);
      for (StreamQueuePtr& queue : streams) {
        queue->ready = false;
        if (queue->pending.empty()) continue;  // closed
        PendingWindow window = std::move(queue->pending.front());
        queue->pending.pop_front();
        if (!queue->pending.empty()) {
          queue->ready = true;
          ready_.push_back(queue);
        }
        batch->push_back({std::move(queue), std::move(window)});
      }
      if (!batch->empty()) return true;
    }
  }

  bool BeginCallback(StreamQueue* queue) {
    absl::MutexLock lock(&mutex_);
    if (queue->closed) return false;
    running_ = queue;
    return true;
  }
  void EndCallback() {
    absl::MutexLock lock(&mutex_);
    running_ = nullptr;
  }

  SpeechDetector* const detector_;
  absl::Mutex mutex_;
  std::deque<StreamQueuePtr> ready_ ABSL_GUARDED_BY(mutex_);
  const StreamQueue* running_ ABSL_GUARDED_BY(mutex_) = nullptr;  // whose callback runs now
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it starts when everything above is there
};

class BatchingStream : public DetectorThread::Stream {
 public:
  BatchingStream(BatchingDetectorThread* thread, StreamQueuePtr queue)
      : thread_(thread), queue_(std::move(queue)) {}
  ~BatchingStream() override { thread_->Close(queue_); }
  void Push(std::vector<float> samples, DetectionDone done) override {
    thread_->Push(queue_, {std::move(samples), std::move(done)});
  }

 private:
  BatchingDetectorThread* const thread_;
  const StreamQueuePtr queue_;
};

std::unique_ptr<DetectorThread::Stream> BatchingDetectorThread::NewStream() {
  auto queue = std::make_shared<StreamQueue>();
  queue->state = detector_->NewState();
  return std::make_unique<BatchingStream>(this, std::move(queue));
}

class InlineDetector : public DetectorThread {
 public:
  explicit InlineDetector(SpeechDetector* detector) : detector_(detector) {}

  std::unique_ptr<Stream> NewStream() override { return std::make_unique<InlineStream>(this); }

 private:
  class InlineStream : public Stream {
   public:
    explicit InlineStream(InlineDetector* owner) : owner_(owner), state_(owner->detector_->NewState()) {}
    void Push(std::vector<float> samples, DetectionDone done) override {
      SpeechDetector::Window window{.state = state_.get(), .samples = samples};
      absl::Status status;
      {
        absl::MutexLock lock(&owner_->mutex_);
        status = owner_->detector_->Detect(absl::MakeSpan(&window, 1));
      }
      done(status.ok() ? absl::StatusOr<float>(window.probability) : status);
    }

   private:
    InlineDetector* const owner_;
    const std::unique_ptr<SpeechDetector::State> state_;
  };

  SpeechDetector* const detector_;
  absl::Mutex mutex_;
};

}  // namespace

std::unique_ptr<DetectorThread> DetectorThread::Start(SpeechDetector* detector) {
  return std::make_unique<BatchingDetectorThread>(detector);
}

std::unique_ptr<DetectorThread> DetectorThread::Inline(SpeechDetector* detector) {
  return std::make_unique<InlineDetector>(detector);
}

}  // namespace parley::streaming

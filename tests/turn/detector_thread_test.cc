#include "streaming/turn/detector_thread.h"

#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace parley::streaming {
namespace {

using engine::SpeechDetector;

// Says a window's first sample as its probability, checks that each state sees its windows in order and once
// a batch, and can be held still.
class TestDetector : public SpeechDetector {
 public:
  struct TestState : State {
    void Reset() override {}
    float last = -1;
  };

  std::string_view name() const override { return "test"; }
  std::unique_ptr<State> NewState() const override { return std::make_unique<TestState>(); }
  absl::Status Detect(absl::Span<Window> batch) override {
    {
      absl::MutexLock lock(&mutex_);
      ++entered_;
      mutex_.Await(absl::Condition(
          +[](TestDetector* self) ABSL_NO_THREAD_SAFETY_ANALYSIS { return !self->held_; }, this));
      if (!status_.ok()) return status_;
      largest_batch_ = std::max(largest_batch_, batch.size());
    }
    for (const Window& window : batch) {
      if (window.samples.size() != kWindowSamples) return absl::InvalidArgumentError("a short window");
    }
    std::set<State*> states;
    for (Window& window : batch) {
      EXPECT_TRUE(states.insert(window.state).second) << "a state twice in one batch";
      auto* state = static_cast<TestState*>(window.state);
      EXPECT_GT(window.samples[0], state->last) << "windows out of order";
      state->last = window.samples[0];
      window.probability = window.samples[0];
    }
    return absl::OkStatus();
  }

  void Hold(bool held) {
    absl::MutexLock lock(&mutex_);
    held_ = held;
  }
  void AwaitEntered(int times) {
    absl::MutexLock lock(&mutex_);
    auto reached = [this, times]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return entered_ >= times; };
    mutex_.Await(absl::Condition(&reached));
  }
  void Fail(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    status_ = std::move(status);
  }
  size_t largest_batch() {
    absl::MutexLock lock(&mutex_);
    return largest_batch_;
  }

 private:
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  int entered_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t largest_batch_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

std::vector<float> Window(int value) {
  return std::vector<float>(SpeechDetector::kWindowSamples, static_cast<float>(value));
}

TEST(DetectorThreadTest, CallsBackEveryWindowInOrder) {
  TestDetector detector;
  const auto thread = DetectorThread::Start(&detector);
  const auto stream = thread->NewStream();
  absl::BlockingCounter left(100);
  std::vector<float> seen;
  for (int i = 0; i < 100; ++i) {
    stream->Push(Window(i), [&](absl::StatusOr<float> probability) {
      seen.push_back(*probability);
      left.DecrementCount();
    });
  }
  left.Wait();
  ASSERT_EQ(seen.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i);
}

TEST(DetectorThreadTest, WindowsOfManyCallsThatWaitGoIntoOneBatch) {
  TestDetector detector;
  const auto thread = DetectorThread::Start(&detector);
  std::vector<std::unique_ptr<DetectorThread::Stream>> streams;
  for (int i = 0; i < 9; ++i) streams.push_back(thread->NewStream());
  detector.Hold(true);
  absl::BlockingCounter left(17);
  streams[0]->Push(Window(0), [&](absl::StatusOr<float>) { left.DecrementCount(); });
  detector.AwaitEntered(1);
  for (int window = 0; window < 2; ++window) {
    for (int i = 1; i < 9; ++i) {
      streams[i]->Push(Window(window), [&](absl::StatusOr<float>) { left.DecrementCount(); });
    }
  }
  detector.Hold(false);
  left.Wait();
  EXPECT_EQ(detector.largest_batch(), 8u);
}

TEST(DetectorThreadTest, AFailedPassIsToldToEveryCallOfItsBatchAndTheNextOneWorks) {
  TestDetector detector;
  detector.Fail(absl::InternalError("lost"));
  const auto thread = DetectorThread::Start(&detector);
  const auto stream = thread->NewStream();
  absl::Notification failed;
  stream->Push(Window(1), [&](absl::StatusOr<float> probability) {
    EXPECT_EQ(probability.status().message(), "lost");
    failed.Notify();
  });
  failed.WaitForNotification();
  detector.Fail(absl::OkStatus());
  absl::Notification worked;
  stream->Push(Window(2), [&](absl::StatusOr<float> probability) {
    EXPECT_TRUE(probability.ok());
    worked.Notify();
  });
  worked.WaitForNotification();
}

TEST(DetectorThreadTest, AWindowThatFailsCostsTheOthersOfItsBatchNothing) {
  TestDetector detector;
  const auto thread = DetectorThread::Start(&detector);
  std::vector<std::unique_ptr<DetectorThread::Stream>> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(thread->NewStream());
  detector.Hold(true);
  absl::BlockingCounter left(4);
  streams[0]->Push(Window(0), [&](absl::StatusOr<float>) { left.DecrementCount(); });
  detector.AwaitEntered(1);
  for (int i = 1; i < 4; ++i) {
    const bool good = i != 2;
    streams[i]->Push(good ? Window(i) : std::vector<float>(7), [&left, good](absl::StatusOr<float> result) {
      EXPECT_EQ(result.ok(), good);
      left.DecrementCount();
    });
  }
  detector.Hold(false);
  left.Wait();
}

TEST(DetectorThreadTest, NothingIsCalledBackAfterAStreamIsGone) {
  TestDetector detector;
  const auto thread = DetectorThread::Start(&detector);
  auto gone = thread->NewStream();
  const auto stays = thread->NewStream();
  detector.Hold(true);
  std::atomic<bool> called = false;
  absl::Notification done;
  gone->Push(Window(0), [&](absl::StatusOr<float>) { called = true; });
  detector.AwaitEntered(1);
  gone->Push(Window(1), [&](absl::StatusOr<float>) { called = true; });
  gone.reset();
  stays->Push(Window(0), [&](absl::StatusOr<float>) { done.Notify(); });
  detector.Hold(false);
  done.WaitForNotification();
  EXPECT_FALSE(called);
}

TEST(DetectorThreadTest, DestructionWaitsForTheCallbackThatRuns) {
  TestDetector detector;
  const auto thread = DetectorThread::Start(&detector);
  auto stream = thread->NewStream();
  absl::Notification entered;
  absl::Notification leave;
  std::atomic<bool> left = false;
  stream->Push(Window(0), [&](absl::StatusOr<float>) {
    entered.Notify();
    leave.WaitForNotification();
    left = true;
  });
  entered.WaitForNotification();
  std::thread destroyer([&] {
    stream.reset();
    EXPECT_TRUE(left);
  });
  leave.Notify();
  destroyer.join();
}

TEST(DetectorThreadTest, AStreamMayGoWithinItsOwnCallback) {
  TestDetector detector;
  const auto thread = DetectorThread::Start(&detector);
  auto stream = thread->NewStream();
  absl::Notification done;
  stream->Push(Window(0), [&](absl::StatusOr<float>) {
    stream.reset();
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_EQ(stream, nullptr);
}

TEST(DetectorThreadTest, StreamsComeAndGoWhileOthersWork) {
  TestDetector detector;
  const auto thread = DetectorThread::Start(&detector);
  std::vector<std::thread> callers;
  std::atomic<int> answered = 0;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int call = 0; call < 25; ++call) {
        auto stream = thread->NewStream();
        absl::BlockingCounter left(20);
        for (int i = 0; i < 20; ++i) {
          stream->Push(Window(i), [&](absl::StatusOr<float>) {
            ++answered;
            left.DecrementCount();
          });
        }
        left.Wait();
        // Some go with windows under way.
        std::atomic<int>* counter = &answered;
        if ((call + caller) % 2 == 0)
          stream->Push(Window(20), [counter](absl::StatusOr<float>) { ++*counter; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GE(answered, 4 * 25 * 20);
}

TEST(InlineDetectorTest, AnswersWithinPush) {
  TestDetector detector;
  const auto thread = DetectorThread::Inline(&detector);
  const auto stream = thread->NewStream();
  float seen = -1;
  stream->Push(Window(3), [&](absl::StatusOr<float> probability) { seen = *probability; });
  EXPECT_EQ(seen, 3);
}

}  // namespace
}  // namespace parley::streaming

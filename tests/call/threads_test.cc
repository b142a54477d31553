// Calls on real threads: the fake engine's model thread, the detector's thread, a pool of two for media. What
// they promise does not depend on time; ThreadSanitizer looks at the rest.
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/executor.h"
#include "engine/fake/fake_engine.h"
#include "gtest/gtest.h"
#include "streaming/call/live_call.h"
#include "streaming/turn/detector_thread.h"
#include "tests/call/test_png.h"

namespace parley::streaming {
namespace {

constexpr absl::Time kNotKnown = absl::InfinitePast();  // when something was captured

// Counts what is told, and lets a test wait for it.
class CountingSink : public CallSink {
 public:
  void OnEvent(CallEvent event) override {
    EXPECT_FALSE(closed.load()) << "an event after Abort";
    absl::MutexLock lock(&mutex_);
    ++events_;
    if (std::holds_alternative<ResponseDone>(event.payload)) ++done_;
    if (std::holds_alternative<CallEnded>(event.payload)) ended_ = true;
    if (const auto* error = std::get_if<CallError>(&event.payload)) {
      EXPECT_FALSE(error->fatal) << error->message;
    }
  }
  void AwaitDone(int answers) {
    absl::MutexLock lock(&mutex_);
    auto reached = [this, answers]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return done_ >= answers; };
    mutex_.Await(absl::Condition(&reached));
  }
  void AwaitEvents(int events) {
    absl::MutexLock lock(&mutex_);
    auto reached = [this, events]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return events_ >= events; };
    mutex_.Await(absl::Condition(&reached));
  }
  void AwaitEnded() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ended_));
  }

  std::atomic<bool> closed = false;

 private:
  absl::Mutex mutex_;
  int events_ ABSL_GUARDED_BY(mutex_) = 0;
  int done_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

class ThreadsTest : public testing::Test {
 protected:
  // The engine frees a conversation at its next step. One that is never freed runs into the test's time
  // limit.
  ~ThreadsTest() override {
    while (fake_.engine->stats().conversations > 0) std::this_thread::yield();
  }

  std::unique_ptr<LiveCall> Start(CallSink* sink) {
    CallConfig config;
    config.audio = AudioFormat{};
    config.video = VideoCodec::kPng;
    config.video_policy = {.speaking_fps = 10, .silent_fps = 10, .scene_threshold = 0};
    auto call = LiveCall::Start(config, CallLimits{},
                                {.engine = fake_.engine.get(),
                                 .detector = detector_.get(),
                                 .media_pool = &pool_,
                                 .clock = Clock::Real()},
                                sink);
    EXPECT_TRUE(call.ok()) << call.status();
    return *std::move(call);
  }

  // `windows` of 32 ms.
  static void Push(LiveCall* call, bool loud, int windows, uint64_t* next_sample) {
    const std::string chunk(1024, loud ? '\x30' : '\0');
    for (int i = 0; i < windows; ++i) {
      call->Push(input::Audio{chunk, *next_sample, kNotKnown}, 0);
      *next_sample += 512;
    }
  }

  // In the order of their destruction: the engine and the detector stop before the pool they post to.
  ThreadPool pool_{2};
  engine::LoadedFake fake_ = engine::MakeFakeEngine({}, Clock::Real());
  std::unique_ptr<DetectorThread> detector_ = DetectorThread::Start(fake_.speech_detector.get());
};

TEST_F(ThreadsTest, ACallIsAnsweredAndEnds) {
  CountingSink sink;
  const auto call = Start(&sink);
  uint64_t sample = 0;
  call->Push(input::Frame{TestPng(50), 1, 0, kNotKnown}, 0);
  for (int turn = 1; turn <= 3; ++turn) {
    Push(call.get(), true, 20, &sample);
    Push(call.get(), false, 20, &sample);
    sink.AwaitDone(turn);
  }
  Push(call.get(), true, 20, &sample);
  call->Push(input::Close{}, 0);
  sink.AwaitDone(4);
  sink.AwaitEnded();
}

TEST_F(ThreadsTest, ManyCallsAtOnceAreAllAnswered) {
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([this] {
      CountingSink sink;
      const auto call = Start(&sink);
      uint64_t sample = 0;
      for (int turn = 1; turn <= 2; ++turn) {
        Push(call.get(), true, 20, &sample);
        Push(call.get(), false, 20, &sample);
        sink.AwaitDone(turn);
      }
      call->Push(input::Close{}, 0);
      sink.AwaitEnded();
    });
  }
  for (std::thread& client : clients) client.join();
}

TEST_F(ThreadsTest, ClientsThatVanishAtAnyMomentLeaveNothingBehind) {
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([this, i] {
      std::mt19937 random(i);
      for (int round = 0; round < 15; ++round) {
        CountingSink sink;
        auto call = Start(&sink);
        uint64_t sample = 0;
        uint64_t frame = 0;
        Push(call.get(), true, 20, &sample);
        Push(call.get(), false, 20, &sample);
        for (int step = random() % 20; step > 0; --step) {
          call->Push(input::Frame{TestPng(random() % 256), ++frame, 0, kNotKnown}, 0);
          Push(call.get(), random() % 2 == 0, 5, &sample);
          if (random() % 8 == 0) call->Push(input::Text{"text"}, 0);
          if (random() % 8 == 0) call->Push(input::Clear{}, 0);
          if (random() % 8 == 0) call->Push(input::AckPlayback{1, 3}, 0);
          call->Tick();
        }
        sink.AwaitEvents(random() % 5);
        if (random() % 2 == 0) {
          call->Abort();
          sink.closed = true;
          Push(call.get(), true, 5, &sample);
        } else {
          call.reset();
          sink.closed = true;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
}

}  // namespace
}  // namespace parley::streaming

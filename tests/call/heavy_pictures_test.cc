// Two calls on real threads, one of which sends pictures that take all of its share: the other one's are
// decoded, and its turns are answered.
#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/executor.h"
#include "engine/fake/fake_engine.h"
#include "gtest/gtest.h"
#include "streaming/call/live_call.h"
#include "streaming/decoders/thread_decoders.h"
#include "streaming/turn/detector_thread.h"
#include "tests/call/test_png.h"
#include "tests/video/media_encoder.h"

namespace parley::streaming {
namespace {

class CountingSink : public CallSink {
 public:
  void OnEvent(CallEvent event) override {
    absl::MutexLock lock(&mutex_);
    if (const auto* status = std::get_if<InputStatus>(&event.payload)) {
      ++told_;
      if (status->encoded) ++encoded_;
      if (status->reason == DropReason::kOverloaded) ++overloaded_;
    }
    if (std::holds_alternative<ResponseDone>(event.payload)) ++answered_;
  }
  void AwaitTold(int frames) {
    absl::MutexLock lock(&mutex_);
    auto reached = [this, frames]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return told_ >= frames; };
    mutex_.Await(absl::Condition(&reached));
  }
  void AwaitAnswered(int answers) {
    absl::MutexLock lock(&mutex_);
    auto reached = [this, answers]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return answered_ >= answers; };
    mutex_.Await(absl::Condition(&reached));
  }
  int encoded() {
    absl::MutexLock lock(&mutex_);
    return encoded_;
  }
  int overloaded() {
    absl::MutexLock lock(&mutex_);
    return overloaded_;
  }

 private:
  absl::Mutex mutex_;
  int told_ ABSL_GUARDED_BY(mutex_) = 0;
  int encoded_ ABSL_GUARDED_BY(mutex_) = 0;
  int overloaded_ ABSL_GUARDED_BY(mutex_) = 0;
  int answered_ ABSL_GUARDED_BY(mutex_) = 0;
};

TEST(HeavyPictures, LoseTheirOwnFramesAndNobodyElses) {
  ThreadPool pool(2);
  engine::LoadedFake fake = engine::MakeFakeEngine({}, Clock::Real());
  // Its share of a real clock's time stands still: what a call may use is the burst. One place, so that they
  // meet.
  SimulatedClock clock;
  const auto decoders = MakeThreadDecoders(
      {.places = 1, .call_burst = absl::Milliseconds(400), .max_wait = absl::InfiniteDuration()}, &clock);
  const auto detector = DetectorThread::Start(fake.speech_detector.get());
  const auto start = [&](CallSink* sink, VideoCodec codec) {
    CallConfig config;
    config.audio = AudioFormat{};
    config.video = codec;
    config.video_policy = {.speaking_fps = 1e6, .silent_fps = 1e6, .scene_threshold = 0};
    auto call = LiveCall::Start(config, CallLimits{},
                                {.engine = fake.engine.get(),
                                 .detector = detector.get(),
                                 .pictures = decoders.get(),
                                 .media_pool = &pool,
                                 .clock = Clock::Real()},
                                sink);
    EXPECT_TRUE(call.ok()) << call.status();
    return *std::move(call);
  };

  const std::string large =
      parley::tests::EncodeStill(VideoCodec::kJpeg, parley::tests::TestPicture(3000, 3000, 1));
  CountingSink heavy_sink;
  CountingSink light_sink;
  {
    const auto heavy = start(&heavy_sink, VideoCodec::kJpeg);
    const auto light = start(&light_sink, VideoCodec::kPng);
    uint64_t sample = 0;
    for (uint64_t i = 1; i <= 20; ++i) {
      heavy->Push(input::Frame{large, i, 0, absl::InfinitePast()}, 0);
      light->Push(input::Frame{TestPng(static_cast<uint8_t>(10 * i)), i, 0, absl::InfinitePast()}, 0);
      light_sink.AwaitTold(i);
      heavy_sink.AwaitTold(i);
      if (i % 5 != 0) continue;
      for (int window = 0; window < 40; ++window, sample += 512)
        light->Push(
            input::Audio{std::string(1024, window < 20 ? '\x30' : '\0'), sample, absl::InfinitePast()}, 0);
      light_sink.AwaitAnswered(i / 5);
    }
    light->Push(input::Close{}, 0);
    heavy->Push(input::Close{}, 0);
  }
  EXPECT_GE(heavy_sink.overloaded(), 5);
  EXPECT_EQ(light_sink.overloaded(), 0);
  EXPECT_GE(light_sink.encoded(), 15);
  while (fake.engine->stats().conversations > 0) std::this_thread::yield();
}

}  // namespace
}  // namespace parley::streaming

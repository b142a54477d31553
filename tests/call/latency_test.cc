// What speculation saves, in simulated time: whole calls on the fake engine, whose work costs time while
// audio goes on arriving.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/executor.h"
#include "engine/fake/fake_engine.h"
#include "engine/runtime/manual_engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "streaming/call/live_call.h"
#include "streaming/turn/detector_thread.h"
#include "tests/call/test_png.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;

constexpr int kChunk = 512;
constexpr absl::Duration kChunkTime = absl::Milliseconds(32);

// One device, in simulated time.
struct Device {
  explicit Device(engine::FakeOptions options) {
    options.simulated = &clock;
    engine = engine::MakeManualEngine(engine::MakeFakeModel(options), options.runtime, &clock);
  }
  // Until the next chunk of audio is due: work is done; a piece that is under way then is finished first.
  void RunUntilNextChunk() { RunUntil(next_chunk += kChunkTime); }
  void RunUntil(absl::Time time) {
    for (;;) {
      pool.RunUntilIdle();
      if (clock.Now() >= time) return;
      if (!engine->RunOnce()) clock.Advance(std::min(time - clock.Now(), absl::Milliseconds(1)));
    }
  }

  SimulatedClock clock;
  absl::Time next_chunk = clock.Now();
  ManualExecutor pool;
  std::unique_ptr<engine::ManualEngine> engine;
  std::unique_ptr<engine::SpeechDetector> detector = engine::MakeFakeSpeechDetector();
  std::unique_ptr<DetectorThread> detector_thread = DetectorThread::Inline(detector.get());
};

// What one call was told.
class Caller : public CallSink {
 public:
  struct Turn {
    std::string transcript;
    std::string answer;
    std::vector<uint64_t> frames;
    absl::Time committed;
    absl::Duration latency = absl::InfiniteDuration();  // committed -> first token told
    TurnTimes times;
  };

  Caller(Device* device, bool speculates) : device_(device) {
    CallConfig config;
    config.audio = AudioFormat{};
    config.video = VideoCodec::kPng;
    config.video_policy = {.speaking_fps = 10, .silent_fps = 10, .scene_threshold = 0};
    config.turn.speculation.enabled = speculates;
    call_ = LiveCall::Start(config, {},
                            {.engine = device->engine.get(),
                             .detector = device->detector_thread.get(),
                             .media_pool = &device->pool,
                             .clock = &device->clock},
                            this)
                .value();
  }

  void OnEvent(CallEvent event) override {
    if (const auto* committed = std::get_if<TurnCommitted>(&event.payload)) {
      turns_.push_back({.frames = committed->frame_ids, .committed = device_->clock.Now()});
    } else if (const auto* transcript = std::get_if<InputTranscript>(&event.payload)) {
      turns_.back().transcript = transcript->text;
    } else if (const auto* token = std::get_if<TokenDelta>(&event.payload)) {
      Turn& turn = turns_.back();
      if (turn.answer.empty()) turn.latency = device_->clock.Now() - turn.committed;
      turn.answer += token->text;
    } else if (const auto* times = std::get_if<TurnTimes>(&event.payload)) {
      turns_.back().times = *times;
    }
  }

  void Chunk(bool speech) {
    std::string bytes;
    for (int i = 0; i < kChunk; ++i) bytes.append(speech ? "\x00\x40" : "\0\0", 2);
    call_->Push(input::Audio{std::move(bytes), next_sample_, absl::InfinitePast()}, ++seq_);
    next_sample_ += kChunk;
  }
  void Show(uint8_t luma) {
    call_->Push(input::Frame{TestPng(luma), ++last_frame_, 0, absl::InfinitePast()}, ++seq_);
  }
  const std::vector<Turn>& turns() const { return turns_; }

 private:
  Device* const device_;
  std::unique_ptr<LiveCall> call_;
  std::vector<Turn> turns_;
  uint64_t next_sample_ = 0;
  uint64_t seq_ = 1;
  uint64_t last_frame_ = 0;
};

engine::FakeOptions Costs() {
  engine::FakeOptions options;
  options.answer_tokens = 8;
  options.step_time = absl::Milliseconds(5);
  options.row_time = absl::Milliseconds(1);
  options.encode_time = absl::Milliseconds(20);
  options.transcription_time = absl::Milliseconds(40);
  return options;
}

// "s": a window of speech, ".": a window of silence, "f": a frame is shown.
std::vector<Caller::Turn> Talk(const std::string& script, bool speculates,
                               const engine::FakeOptions& options = Costs()) {
  Device device(options);
  Caller caller(&device, speculates);
  uint8_t luma = 0;
  for (const char what : script) {
    if (what == 'f') {
      caller.Show(luma += 40);
      continue;
    }
    device.RunUntilNextChunk();
    caller.Chunk(what == 's');
  }
  device.RunUntil(device.clock.Now() + absl::Seconds(30));
  return caller.turns();
}

std::string Speech(int windows) { return std::string(windows, 's'); }
std::string Silence(int windows) { return std::string(windows, '.'); }

TEST(LatencyTest, WithAHitTheFirstTokenGoesOutInTheInstantInWhichTheEndOfTheTurnIsDecided) {
  const std::string script = absl::StrCat(Silence(30), Speech(60), Silence(20));
  const auto plain = Talk(script, false);
  const auto fast = Talk(script, true);
  ASSERT_EQ(plain.size(), 1u);
  ASSERT_EQ(fast.size(), 1u);
  // Three encoder passes of 40 ms, and the prefill of the transcript and of the answer's opening.
  EXPECT_GT(plain[0].latency, absl::Milliseconds(120 + 20));
  EXPECT_EQ(fast[0].latency, absl::ZeroDuration());
  EXPECT_EQ(fast[0].times.speculation, SpeculationOutcome::kHit);
  EXPECT_LT(fast[0].times.first_token, fast[0].times.end_decided);
  EXPECT_EQ(fast[0].transcript, plain[0].transcript);
  EXPECT_EQ(fast[0].answer, plain[0].answer);
}

TEST(LatencyTest, WhatIsNotReadyInTimeHasTheHeadStart) {
  engine::FakeOptions slow = Costs();
  slow.transcription_time = absl::Milliseconds(160);
  const std::string script = absl::StrCat(Silence(30), Speech(80), Silence(60));
  const auto plain = Talk(script, false, slow);
  const auto fast = Talk(script, true, slow);
  // From the pause to the commit there are ten windows; an encoder pass under way when a chunk is due delays
  // it.
  EXPECT_NEAR(absl::ToDoubleMilliseconds(plain[0].latency - fast[0].latency), 320, 100);
  EXPECT_GT(fast[0].latency, absl::ZeroDuration());
  EXPECT_EQ(fast[0].times.speculation, SpeculationOutcome::kHit);
  EXPECT_EQ(fast[0].answer, plain[0].answer);
}

TEST(LatencyTest, ALongTurnIsTranscribedWhileItIsSpoken) {
  engine::FakeOptions slow = Costs();
  slow.transcription_time = absl::Milliseconds(100);  // a second of speech
  for (const int seconds : {8, 16, 32}) {
    SCOPED_TRACE(seconds);
    const std::string script = absl::StrCat(Silence(30), Speech(seconds * 1000 / 32), Silence(20));
    const auto plain = Talk(script, false, slow);
    const auto fast = Talk(script, true, slow);
    ASSERT_EQ(plain.size(), 1u);
    ASSERT_EQ(fast.size(), 1u);
    EXPECT_GT(plain[0].latency, absl::Milliseconds(seconds * 100));
    // At most a third of it is left at the pause, 320 ms before the end is decided.
    EXPECT_LT(fast[0].latency, absl::Milliseconds(seconds * 100 / 3 + 200 - 320));
    EXPECT_EQ(fast[0].transcript, plain[0].transcript);
    EXPECT_EQ(fast[0].answer, plain[0].answer);
  }
}

TEST(LatencyTest, WhatIsSaidIsTheSameBitForBitWithAndWithout) {
  // Pauses that end the turn, pauses that do not (each at another point of the speculation), frames before,
  // within and after speech.
  std::string script = Silence(30);
  for (int turn = 0; turn < 20; ++turn) {
    if (turn % 3 == 0) absl::StrAppend(&script, "f", Silence(8));
    absl::StrAppend(&script, Speech(10 + turn * 3));
    if (turn % 2 == 0) absl::StrAppend(&script, Silence(6 + turn % 9), Speech(5 + turn));
    if (turn % 4 == 0) absl::StrAppend(&script, "f", Speech(8), Silence(7), Speech(1 + turn % 4));
    absl::StrAppend(&script, Silence(16 + 20));
  }
  const auto plain = Talk(script, false);
  const auto fast = Talk(script, true);
  ASSERT_EQ(plain.size(), 20u);
  ASSERT_EQ(fast.size(), plain.size());
  int hits = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(fast[i].transcript, plain[i].transcript);
    EXPECT_EQ(fast[i].answer, plain[i].answer);
    EXPECT_EQ(fast[i].frames, plain[i].frames);
    hits += fast[i].times.speculation == SpeculationOutcome::kHit;
  }
  EXPECT_EQ(hits, 20);
}

TEST(LatencyTest, AFrameThatComesWhileAnAnswerIsHeldIsTheNextTurns) {
  // The plain path shows it when the turn is committed.
  const std::string before = absl::StrCat(Silence(30), "f", Silence(4), Speech(40));
  const std::string after = absl::StrCat(Silence(20), Speech(30), Silence(20));
  const auto fast = Talk(absl::StrCat(before, Silence(10), "f", Silence(7), after), true);
  const auto plain = Talk(absl::StrCat(before, Silence(17), "f", after), false);
  ASSERT_EQ(fast.size(), 2u);
  ASSERT_EQ(plain.size(), 2u);
  EXPECT_THAT(fast[0].frames, ElementsAre(1));
  EXPECT_THAT(fast[1].frames, ElementsAre(2));
  for (int turn : {0, 1}) {
    EXPECT_EQ(fast[turn].answer, plain[turn].answer);
    EXPECT_EQ(fast[turn].frames, plain[turn].frames);
    EXPECT_EQ(fast[turn].times.speculation, SpeculationOutcome::kHit);
  }
}

TEST(LatencyTest, ACallThatWaitsIsHeldUpByTheSpeculationOfOthersForAnEncoderPassAndAStepAtMost) {
  const auto latencies = [](bool others_speculate) {
    Device device(Costs());
    Caller waiting(&device, false);
    std::vector<std::unique_ptr<Caller>> others;
    for (int i = 0; i < 4; ++i) others.push_back(std::make_unique<Caller>(&device, others_speculate));
    std::vector<absl::Duration> each;
    // The others pause again and again without ever ending their turns.
    for (int window = 0; window < 1200; ++window) {
      device.RunUntilNextChunk();
      waiting.Chunk(window % 97 >= 30 && window % 97 < 60);
      for (size_t i = 0; i < others.size(); ++i) others[i]->Chunk((window + 7 * i) % 30 < 18);
    }
    device.RunUntil(device.clock.Now() + absl::Seconds(5));
    for (const Caller::Turn& turn : waiting.turns())
      each.push_back(turn.times.first_token - turn.times.end_decided);
    return each;
  };
  const auto alone = latencies(false);
  const auto beside = latencies(true);
  ASSERT_EQ(alone.size(), 12u);
  ASSERT_EQ(beside.size(), alone.size());
  const engine::schedule::StepLimits limits;
  const absl::Duration encode = Costs().transcription_time;
  const absl::Duration step =
      Costs().step_time + Costs().row_time * (limits.max_speculative_rows + limits.max_piggybacked);
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_LE(beside[i] - alone[i], encode + step) << i;
}

TEST(LatencyTest, CallsThatSpeakAtOnceAreAllAnsweredAtOnce) {
  Device device(Costs());
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 3; ++i) callers.push_back(std::make_unique<Caller>(&device, true));
  for (int window = 0; window < 200; ++window) {
    device.RunUntilNextChunk();
    // Each a little later than the one before.
    for (size_t i = 0; i < callers.size(); ++i) {
      const int own = window - 12 * static_cast<int>(i);
      callers[i]->Chunk(own >= 60 && own < 90);
    }
  }
  device.RunUntil(device.clock.Now() + absl::Seconds(5));
  for (const auto& caller : callers) {
    ASSERT_EQ(caller->turns().size(), 1u);
    EXPECT_EQ(caller->turns()[0].latency, absl::ZeroDuration());
  }
}

}  // namespace
}  // namespace parley::streaming

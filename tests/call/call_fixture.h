// One live call on one thread in simulated time: the test is the client, the clock and the engine's pace.
#pragma once

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "streaming/call/live_call.h"
#include "streaming/decoders/picture_decoders.h"
#include "streaming/turn/detector_thread.h"
#include "tests/call/scripted_engine.h"
#include "tests/call/test_png.h"

namespace parley::streaming {

// Loud is speech. As strict as a real one about the size of a window.
class LoudnessDetector : public engine::SpeechDetector {
 public:
  struct NoState : State {
    void Reset() override {}
  };
  std::string_view name() const override { return "loudness"; }
  std::unique_ptr<State> NewState() const override { return std::make_unique<NoState>(); }
  absl::Status Detect(absl::Span<Window> batch) override {
    for (Window& window : batch) {
      if (window.samples.size() != kWindowSamples) {
        return absl::InvalidArgumentError(absl::StrCat("a window of ", window.samples.size(), " samples"));
      }
      window.probability = Loudness(window.samples) > 0.1f ? 0.9f : 0.01f;
    }
    return std::exchange(fail_next, absl::OkStatus());
  }
  absl::Status fail_next;
  bool anywhere = false;  // in the window; else in its middle

 private:
  float Loudness(absl::Span<const float> samples) const {
    if (!anywhere) return std::abs(samples[256]);
    const auto [low, high] = std::minmax_element(samples.begin(), samples.end());
    return std::max(-*low, *high);
  }
};

// A detector whose answers the test gives, oldest window first.
class HeldDetector {
 public:
  // To be used by one call.
  std::unique_ptr<DetectorThread> Take() { return std::make_unique<HeldThread>(&waiting_); }
  void Answer(float probability, int windows) {
    for (; windows > 0; --windows) {
      auto done = std::move(waiting_.front());
      waiting_.pop_front();
      done(probability);
    }
  }

 private:
  using Done = absl::AnyInvocable<void(absl::StatusOr<float>)>;
  struct HeldThread : DetectorThread {
    explicit HeldThread(std::deque<Done>* waiting) : waiting(waiting) {}
    std::unique_ptr<DetectorThread::Stream> NewStream() override {
      return std::make_unique<HeldStream>(waiting);
    }
    std::deque<Done>* waiting;
  };
  struct HeldStream : DetectorThread::Stream {
    explicit HeldStream(std::deque<Done>* waiting) : waiting(waiting) {}
    void Push(std::vector<float>, Done done) override { waiting->push_back(std::move(done)); }
    std::deque<Done>* waiting;
  };
  std::deque<Done> waiting_;
};

// Events as short lines: "token 1/1 t1.1 ", where 1/1 is turn/response.
inline std::string Line(const CallEvent& event) {
  static constexpr const char* kReasons[] = {"silence",    "max_turn", "activity_end",    "input_commit",
                                             "stream_end", "text",     "response_create", "audio_idle"};
  static constexpr const char* kDrops[] = {"none",       "sampled_out", "scene_unchanged",
                                           "superseded", "undecodable", "waiting_for_key_frame",
                                           "overloaded", "cleared"};
  static constexpr const char* kEnds[] = {"end_of_turn", "max_tokens", "stop_string", "cancelled",
                                          "interrupted", "failed",     "context_full"};
  static constexpr const char* kCodes[] = {"invalid_sequence", "invalid_message",  "undecodable_audio",
                                           "too_large",        "audio_gap",        "audio_overlap",
                                           "wrong_mode",       "unknown_response", "context_full",
                                           "engine_failed",    "internal"};
  const std::string at = absl::StrCat(" ", event.turn_id, "/", event.response_id);
  struct Visitor {
    const std::string& at;
    std::string operator()(const ConfigChanged&) const { return "config"; }
    std::string operator()(const InputStatus& e) const {
      return absl::StrCat("frame ", e.frame_id, " ",
                          e.encoded ? "encoded" : kDrops[static_cast<int>(e.reason)]);
    }
    std::string operator()(const SpeechStarted&) const { return "started" + at; }
    std::string operator()(const SpeechStopped&) const { return "stopped" + at; }
    std::string operator()(const SpeechDismissed& e) const {
      static constexpr const char* kDismissals[] = {"too_short", "no_words", "cleared"};
      return absl::StrCat("dismissed", at, " ", kDismissals[static_cast<int>(e.reason)]);
    }
    std::string operator()(const ResponsePaused&) const { return "paused" + at; }
    std::string operator()(const ResponseResumed&) const { return "resumed" + at; }
    std::string operator()(const TurnCommitted& e) const {
      return absl::StrCat("committed", at, " ", kReasons[static_cast<int>(e.reason)]);
    }
    std::string operator()(const InputTranscript& e) const {
      return absl::StrCat("transcript", at, " ", e.text);
    }
    std::string operator()(const ResponseStarted&) const { return "response" + at; }
    std::string operator()(const TokenDelta& e) const { return absl::StrCat("token", at, " ", e.text); }
    std::string operator()(const Interrupted& e) const {
      return absl::StrCat("interrupted", at, " kept ", e.tokens_kept);
    }
    std::string operator()(const ResponseDone& e) const {
      return absl::StrCat("done", at, " ", kEnds[static_cast<int>(e.reason)]);
    }
    std::string operator()(const ContextCompacted& e) const {
      return absl::StrCat("compacted", at, " ", e.compaction.turns_dropped,
                          " turns: ", e.compaction.tokens_before, " to ", e.compaction.tokens_after);
    }
    std::string operator()(const TurnTimes&) const { return "times" + at; }
    std::string operator()(const CallWarning& e) const {
      return absl::StrCat("warning ", kCodes[static_cast<int>(e.code)]);
    }
    std::string operator()(const CallError& e) const {
      return absl::StrCat(e.fatal ? "fatal " : "error ", kCodes[static_cast<int>(e.code)], " seq ",
                          e.client_seq);
    }
    std::string operator()(const CallEnded&) const { return "ended"; }
  };
  return std::visit(Visitor{at}, event.payload);
}

class CallFixture : public testing::Test, public CallSink {
 protected:
  static constexpr int64_t kChunk = 512;                         // 32 ms, one window
  static constexpr absl::Time kNotKnown = absl::InfinitePast();  // when something was captured

  CallFixture() {
    config_.audio = AudioFormat{};
    config_.video = VideoCodec::kPng;
    config_.video_policy = {.speaking_fps = 10, .silent_fps = 10, .scene_threshold = 0.02f};
  }

  void Start() {
    auto call = TryStart();
    ASSERT_TRUE(call.ok()) << call.status();
    call_ = *std::move(call);
  }
  absl::StatusOr<std::unique_ptr<LiveCall>> TryStart() {
    return LiveCall::Start(config_, limits_,
                           {.engine = &engine_,
                            .detector = has_detector_ ? detector_thread_.get() : nullptr,
                            .pictures = pictures_,
                            .media_pool = &pool_,
                            .clock = call_clock_},
                           this);
  }

  void OnEvent(CallEvent event) override {
    EXPECT_GE(event.epoch, last_epoch_);
    last_epoch_ = event.epoch;
    lines_.push_back(Line(event));
    events_.push_back(std::move(event));
    if (on_event_) on_event_(lines_.back());
  }

  // Everything that can run, runs.
  void RunUntilIdle() {
    do pool_.RunUntilIdle();
    while (engine_.Step());
  }
  void Run() { pool_.RunUntilIdle(); }
  // The engine does `steps` pieces of work.
  void Steps(int steps) {
    for (Run(); steps > 0; --steps) {
      engine_.Step();
      Run();
    }
  }
  // 32 ms pass, then what is due runs, with the engine at its pace.
  void Pass() {
    clock_.Advance(absl::Milliseconds(32));
    if (pace_ < 0) return RunUntilIdle();
    Steps(pace_);
  }

  std::string Pcm(float level, int64_t samples = kChunk) {
    const auto value = static_cast<int16_t>(level * 32767);
    std::string bytes(static_cast<size_t>(2 * samples), static_cast<char>(value & 0xff));
    for (size_t i = 1; i < bytes.size(); i += 2) bytes[i] = static_cast<char>(value >> 8);
    return bytes;
  }
  void Chunk(float level) {
    call_->Push(input::Audio{Pcm(level), next_sample_, clock_.Now() - uplink_}, ++seq_);
    next_sample_ += kChunk;
    Pass();
  }
  void Say(int windows) {
    for (int i = 0; i < windows; ++i) Chunk(0.5f);
  }
  void BeSilent(int windows) {
    for (int i = 0; i < windows; ++i) Chunk(0);
  }
  // A whole turn: `windows` of speech, and the silence that commits it.
  void Turn(int windows = 20) {
    Say(windows);
    BeSilent(16);
  }
  void Show(uint8_t luma) {
    call_->Push(input::Frame{TestPng(luma), ++last_frame_, 0, clock_.Now() - uplink_}, ++seq_);
    Pass();
  }

  int Count(const std::string& start) const {
    int count = 0;
    for (const std::string& line : lines_) count += line.rfind(start, 0) == 0 ? 1 : 0;
    return count;
  }
  template <typename Payload>
  const Payload* Last() const {
    for (auto event = events_.rbegin(); event != events_.rend(); ++event) {
      if (const auto* payload = std::get_if<Payload>(&event->payload)) return payload;
    }
    return nullptr;
  }
  // What was told since the last call of this, without what only some tests look at.
  std::vector<std::string> News() {
    std::vector<std::string> news;
    for (; told_ < lines_.size(); ++told_) {
      if (lines_[told_].rfind("times", 0) != 0) news.push_back(lines_[told_]);
    }
    return news;
  }

  SimulatedClock clock_;
  const Clock* call_clock_ = &clock_;  // what the call is given; before Start
  ManualExecutor pool_;
  ScriptedEngine engine_{&clock_};
  LoudnessDetector detector_;
  std::unique_ptr<DetectorThread> detector_thread_ = DetectorThread::Inline(&detector_);
  PictureDecoders* pictures_ = PictureDecoders::Inline();
  bool has_detector_ = true;
  CallConfig config_;
  CallLimits limits_;
  absl::Duration uplink_ = absl::InfiniteDuration();  // capture to arrival; infinite: the client does not say
  int pace_ = -1;                                     // engine steps each 32 ms; -1: all there are

  std::vector<CallEvent> events_;
  std::vector<std::string> lines_;
  std::function<void(const std::string&)> on_event_;
  size_t told_ = 0;
  uint64_t last_epoch_ = 0;
  uint64_t next_sample_ = 0;
  uint64_t seq_ = 1;
  uint64_t last_frame_ = 0;
  std::unique_ptr<LiveCall> call_;
};

}  // namespace parley::streaming

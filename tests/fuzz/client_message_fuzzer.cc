// What a client sends, from bytes to the live call: parse, checks, dispatch, media decoding, turns and
// answers on the fake engine, all in this thread and in simulated time.
//
// Input: a first byte that says how the call was opened (0: the input does so itself), then messages, each
// with its length in two bytes, low one first. A seq of 0 stands for the right one.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/executor.h"
#include "engine/fake/fake_engine.h"
#include "engine/runtime/manual_engine.h"
#include "server/call_input.h"
#include "server/convert.h"
#include "server/outgoing_queue.h"
#include "server/validation.h"
#include "streaming/call/capture_clock.h"
#include "streaming/call/live_call.h"
#include "streaming/turn/detector_thread.h"

namespace {

using namespace parley;
using namespace parley::server;

class Sink : public streaming::CallSink {
 public:
  void OnEvent(streaming::CallEvent event) override {
    if (const auto* times = std::get_if<streaming::TurnTimes>(&event.payload)) {
      queue_.PushMetrics(ToProto(event), *times);
    } else {
      if (std::holds_alternative<streaming::Interrupted>(event.payload)) queue_.DropTokens(event.response_id);
      queue_.Push(ToProto(event));
    }
    if (queue_.messages() > 40) {
      while (auto message = queue_.Pop(absl::UnixEpoch())) message->SerializeAsString();
    }
  }

 private:
  OutgoingQueue queue_{{.max_messages = 64}};
};

v1::Limits TestLimits() {
  v1::Limits limits;
  limits.set_max_audio_chunk_bytes(1 << 16);
  limits.set_max_video_frame_bytes(1 << 16);
  limits.set_max_video_pixels(1 << 20);
  limits.set_max_text_bytes(1'000);
  limits.set_max_instructions_bytes(1'000);
  limits.set_max_answer_tokens(64);
  limits.set_max_audio_gap_ms(1'000);
  limits.set_max_audio_backlog_ms(10'000);
  return limits;
}

// Never a null configuration but for `how` 0.
v1::SessionConfig OpenedAs(uint8_t how) {
  v1::SessionConfig config;
  if ((how & 1) != 0) {
    const bool opus = (how & 2) != 0;
    config.mutable_audio()->set_codec(opus ? v1::AudioFormat::OPUS : v1::AudioFormat::PCM16);
    config.mutable_audio()->set_sample_rate_hz(opus ? 48'000 : 16'000);
  }
  if ((how & 4) != 0) config.mutable_turn()->set_mode(v1::TurnConfig::MANUAL);
  if ((how >> 4) % 7 != 0)
    config.mutable_video()->set_codec(static_cast<v1::VideoFormat::Codec>((how >> 4) % 7));
  return config;
}

class Session {
 public:
  Session() {
    fake_.answer_tokens = 6;
    fake_.step_time = absl::Milliseconds(1);
    fake_.simulated = &clock_;
    engine_ = engine::MakeManualEngine(engine::MakeFakeModel(fake_), fake_.runtime, &clock_);
    speech_ = engine::MakeFakeSpeechDetector();
    detector_ = streaming::DetectorThread::Inline(speech_.get());
  }
  ~Session() {
    call_.reset();
    Run();
  }

  void Open(const v1::SessionConfig& proto) {
    ConfigOrFault parsed = ParseConfig(proto, limits_, {});
    if (!std::holds_alternative<streaming::CallConfig>(parsed)) return;
    auto call = streaming::LiveCall::Start(
        std::get<streaming::CallConfig>(parsed), ToCallLimits(limits_),
        {.engine = engine_.get(), .detector = detector_.get(), .media_pool = &pool_, .clock = &clock_},
        &sink_);
    if (!call.ok()) return;
    call_ = *std::move(call);
    state_.config = std::get<streaming::CallConfig>(parsed);
  }

  // False: the call has ended.
  bool Take(v1::ClientMessage message) {
    if (message.seq() == 0) message.set_seq(state_.last_seq + 1);
    if (const auto fault = CheckMessage(message, limits_, state_)) return !fault->fatal;
    if (message.has_open()) {
      Open(message.open().config());
    } else if (message.has_update()) {
      ConfigOrFault parsed = ApplyUpdate(message.update(), *state_.config, limits_, {});
      if (std::holds_alternative<streaming::CallConfig>(parsed)) {
        state_.config = std::get<streaming::CallConfig>(parsed);
        call_->Push(streaming::input::Update{*state_.config}, message.seq());
      }
    } else if (message.has_close()) {
      call_->Push(streaming::input::Close{}, 0);
      Run();
      return false;
    } else {
      const absl::Time captured = capture_clock_.Place(message.capture_time_us(), clock_.Now());
      if (auto input = ToCallInput(message, captured)) call_->Push(*std::move(input), message.seq());
    }
    clock_.Advance(absl::Milliseconds(20));
    // A message now and then comes before the last one was worked on.
    if (state_.last_seq % 3 != 0) {
      if (call_ != nullptr) call_->Tick();
      Run();
    }
    return true;
  }

 private:
  void Run() {
    while (pool_.RunUntilIdle() > 0 || engine_->RunOnce()) {
    }
  }

  SimulatedClock clock_;
  ManualExecutor pool_;
  engine::FakeOptions fake_;
  std::unique_ptr<engine::ManualEngine> engine_;
  std::unique_ptr<engine::SpeechDetector> speech_;
  std::unique_ptr<streaming::DetectorThread> detector_;
  const v1::Limits limits_ = TestLimits();
  InboundState state_;
  streaming::CaptureClock capture_clock_;
  Sink sink_;
  std::unique_ptr<streaming::LiveCall> call_;
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // a line for each text that is not UTF-8
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  Session session;
  if (data[0] != 0) session.Open(OpenedAs(data[0]));
  size_t at = 1;
  for (int messages = 0; messages < 48 && at + 2 <= size; ++messages) {
    const size_t length = std::min<size_t>(data[at] | data[at + 1] << 8, size - at - 2);
    v1::ClientMessage message;
    const bool parsed = message.ParseFromArray(data + at + 2, static_cast<int>(length));
    at += 2 + length;
    if (parsed && !session.Take(std::move(message))) break;
  }
  return 0;
}

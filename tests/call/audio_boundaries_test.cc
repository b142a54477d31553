// What a client orders between two of the detector's windows, at every sample offset and with every size of
// chunk: the call goes on, and the next turn is heard whole.
#include <opus/opus.h>

#include <algorithm>
#include <functional>
#include <map>

#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

class AudioBoundaries : public CallFixture {
 protected:
  using Operation = std::function<void(AudioBoundaries&)>;

  static const std::map<std::string, Operation>& Operations() {
    static const auto* const operations = new std::map<std::string, Operation>{
        {"AudioStreamEnd",
         [](AudioBoundaries& test) { test.call_->Push(input::AudioStreamEnd{}, ++test.seq_); }},
        {"InputCommit", [](AudioBoundaries& test) { test.call_->Push(input::Commit{}, ++test.seq_); }},
        {"InputClear", [](AudioBoundaries& test) { test.call_->Push(input::Clear{}, ++test.seq_); }},
        {"ResponseCreate",
         [](AudioBoundaries& test) { test.call_->Push(input::CreateResponse{}, ++test.seq_); }},
        {"TextInput", [](AudioBoundaries& test) { test.call_->Push(input::Text{"typed"}, ++test.seq_); }},
        {"MANUAL and back",
         [](AudioBoundaries& test) {
           test.SetMode(TurnMode::kManual);
           test.SetMode(TurnMode::kVad);
         }},
        {"an activity in MANUAL and back",
         [](AudioBoundaries& test) {
           test.SetMode(TurnMode::kManual);
           test.call_->Push(input::Commit{}, ++test.seq_);  // what goes on has become an activity
           test.call_->Push(input::Clear{}, ++test.seq_);
           test.SetMode(TurnMode::kVad);
         }},
        {"audio that goes on a minute later",
         [](AudioBoundaries& test) {
           test.call_->Push(input::AudioStreamEnd{}, ++test.seq_);
           test.next_sample_ += 60 * test.rate();
         }},
    };
    return *operations;
  }

  // A new call.
  void Again() {
    call_.reset();
    RunUntilIdle();
    events_.clear();
    lines_.clear();
    last_epoch_ = 0;
    next_sample_ = 0;
    config_.turn.mode = TurnMode::kVad;
  }

  void SetMode(TurnMode mode) {
    config_.turn.mode = mode;
    call_->Push(input::Update{config_}, 0);
  }
  uint64_t rate() const { return static_cast<uint64_t>(config_.audio->sample_rate_hz); }

  // `samples` of PCM in chunks of at most `chunk`.
  void Send(float level, int64_t samples, int64_t chunk) {
    while (samples > 0) {
      const int64_t count = std::min(samples, chunk);
      call_->Push(input::Audio{Pcm(level, count), next_sample_, kNotKnown}, ++seq_);
      next_sample_ += count;
      samples -= count;
    }
    RunUntilIdle();
  }

  // Speech, then `offset` samples more of it or of silence, the operation, then a turn that ends by silence.
  void Play(const Operation& operation, int64_t offset, int64_t chunk, float level) {
    engine_.SetAnswerTokens(1);
    Start();
    const int64_t second = static_cast<int64_t>(rate());
    Send(0, second / 10, chunk);
    Send(0.5f, second * 2 / 5, chunk);
    Send(level, offset, chunk);
    operation(*this);
    RunUntilIdle();
    const int ended_before = Count("done");
    Send(0, second * 3 / 5, chunk);
    Send(0.5f, second * 2 / 5, chunk);
    Send(0, second * 3 / 5, chunk);
    EXPECT_EQ(Count("fatal") + Count("error") + Count("warning"), 0) << lines_.back();
    EXPECT_GT(Count("done"), ended_before);
    EXPECT_EQ(call_->audio_backlog_ms(), 0);
    // The last turn: its speech and its tail are all there.
    ASSERT_FALSE(engine_.utterances().empty());
    const std::vector<float>& last = engine_.utterances().back();
    EXPECT_GT(last.size(), 16'000u * 2 / 5);
  }
};

class EveryOffset : public AudioBoundaries, public testing::WithParamInterface<int> {};

TEST_P(EveryOffset, NoOperationBetweenTwoWindowsLosesTheCall) {
  constexpr int kSlice = 32;  // of the 512 offsets in one parameter
  for (int offset = GetParam() * kSlice; offset < (GetParam() + 1) * kSlice; ++offset) {
    for (const auto& [name, operation] : Operations()) {
      SCOPED_TRACE(absl::StrCat(name, " at ", offset));
      Again();
      Play(operation, offset, /*chunk=*/160, offset % 2 == 0 ? 0.5f : 0.0f);
      if (HasFailure()) return;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Samples, EveryOffset, testing::Range(0, 16));

class EveryChunkSize : public AudioBoundaries, public testing::WithParamInterface<int> {};

TEST_P(EveryChunkSize, NoOperationLosesTheCallAtAnyRate) {
  for (const int rate : {8'000, 16'000, 44'100, 48'000}) {
    for (const auto& [name, operation] : Operations()) {
      SCOPED_TRACE(absl::StrCat(name, " at ", rate, " Hz"));
      Again();
      config_.audio->sample_rate_hz = rate;
      Play(operation, /*offset=*/GetParam() % 997, GetParam(), 0.5f);
      if (HasFailure()) return;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Samples, EveryChunkSize,
                         testing::Values(61, 160, 441, 511, 513, 1'600, 16'000, 48'000, 131'072));

class EveryPacketSize : public AudioBoundaries, public testing::WithParamInterface<int> {
 protected:
  // `samples` at 48 kHz of a tone, or of silence, in packets of the test's size.
  void SendPackets(OpusEncoder* encoder, float level, int64_t samples) {
    const int size = GetParam();
    std::vector<float> frame(static_cast<size_t>(size));
    for (; samples > 0; samples -= size) {
      for (int i = 0; i < size; ++i) {
        frame[static_cast<size_t>(i)] =
            level *
            std::sin(0.03f * static_cast<float>((next_sample_ + static_cast<uint64_t>(i)) % 1'000'000));
      }
      unsigned char packet[1'500];
      const int bytes = opus_encode_float(encoder, frame.data(), size, packet, sizeof(packet));
      ASSERT_GT(bytes, 0);
      call_->Push(input::Audio{std::string(reinterpret_cast<char*>(packet), static_cast<size_t>(bytes)),
                               next_sample_, kNotKnown},
                  ++seq_);
      next_sample_ += static_cast<uint64_t>(size);
    }
    RunUntilIdle();
  }
};

TEST_P(EveryPacketSize, NoOperationLosesTheCallBetweenOpusPackets) {
  config_.audio = AudioFormat{.codec = AudioCodec::kOpus, .sample_rate_hz = 48'000};
  detector_.anywhere = true;
  for (const auto& [name, operation] : Operations()) {
    for (int packets = 0; packets < 8; ++packets) {
      SCOPED_TRACE(absl::StrCat(name, " after ", packets, " packets more"));
      Again();
      int error = 0;
      OpusEncoder* encoder = opus_encoder_create(48'000, 1, OPUS_APPLICATION_VOIP, &error);
      ASSERT_EQ(error, OPUS_OK);
      engine_.SetAnswerTokens(1);
      Start();
      SendPackets(encoder, 0, 4'800);
      SendPackets(encoder, 0.5f, 19'200);
      SendPackets(encoder, 0.5f, packets * GetParam());
      operation(*this);
      RunUntilIdle();
      const int ended_before = Count("done");
      SendPackets(encoder, 0, 38'400);
      SendPackets(encoder, 0.5f, 19'200);
      SendPackets(encoder, 0, 38'400);
      EXPECT_EQ(Count("fatal") + Count("error") + Count("warning"), 0) << lines_.back();
      EXPECT_GT(Count("done"), ended_before);
      opus_encoder_destroy(encoder);
      if (HasFailure()) return;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Samples, EveryPacketSize, testing::Values(120, 240, 480, 960, 1'920, 2'880));

}  // namespace
}  // namespace parley::streaming

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <opus/opus.h>

#include <cmath>
#include <numbers>
#include <random>

#include "streaming/audio/audio_input.h"

namespace parley::streaming {
namespace {

constexpr int kRate = 48'000;
constexpr int kMaxGapMs = 5'000;

std::unique_ptr<AudioInput> MakeInput(int channels = 1) {
  auto input = AudioInput::Create({AudioCodec::kOpus, kRate, channels}, kMaxGapMs);
  EXPECT_TRUE(input.ok()) << input.status();
  return *std::move(input);
}

// Something like a voice: harmonics of 120 to 220 Hz under an envelope of syllables; no two places are alike.
float Voice(uint64_t sample) {
  const double t = static_cast<double>(sample) / kRate;
  const double phase = 2 * std::numbers::pi * (160 * t + 8 * std::sin(2.3 * t));
  double sum = 0;
  for (int harmonic = 1; harmonic <= 12; ++harmonic) sum += std::sin(harmonic * phase) / (1 + harmonic);
  return static_cast<float>(0.2 * sum * (0.55 + 0.45 * std::sin(2 * std::numbers::pi * 3.1 * t)));
}

struct EncoderOptions {
  int frame_samples = 960;
  int channels = 1;
  bool fec = false;
  int application = OPUS_APPLICATION_VOIP;
  int bit_rate = 32'000;
};

std::vector<std::string> Encode(uint64_t samples, const EncoderOptions& options) {
  int error = 0;
  OpusEncoder* encoder = opus_encoder_create(kRate, options.channels, options.application, &error);
  EXPECT_EQ(error, OPUS_OK);
  opus_encoder_ctl(encoder, OPUS_SET_BITRATE(options.bit_rate));
  if (options.fec) {
    opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(1));
    opus_encoder_ctl(encoder, OPUS_SET_PACKET_LOSS_PERC(30));
    opus_encoder_ctl(encoder, OPUS_SET_MAX_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND));
  }
  std::vector<std::string> packets;
  std::vector<float> frame(static_cast<size_t>(options.frame_samples) * options.channels);
  for (uint64_t at = 0; at + options.frame_samples <= samples; at += options.frame_samples) {
    for (int i = 0; i < options.frame_samples; ++i) {
      for (int c = 0; c < options.channels; ++c) frame[i * options.channels + c] = Voice(at + i);
    }
    unsigned char packet[4'000];
    const int size = opus_encode_float(encoder, frame.data(), options.frame_samples, packet, sizeof(packet));
    EXPECT_GT(size, 0) << opus_strerror(size);
    packets.emplace_back(reinterpret_cast<char*>(packet), std::max(0, size));
  }
  opus_encoder_destroy(encoder);
  return packets;
}

// Pushes packet i at index i * frame_samples, but those of `lost`; checks that the signal has no hole.
std::vector<float> Decode(AudioInput& input, const std::vector<std::string>& packets, uint64_t frame_samples,
                          const std::vector<size_t>& lost = {}) {
  std::vector<float> signal;
  for (size_t i = 0; i < packets.size(); ++i) {
    if (std::find(lost.begin(), lost.end(), i) != lost.end()) continue;
    const auto output = input.Push(packets[i], i * frame_samples);
    EXPECT_TRUE(output.ok()) << output.status();
    if (!output.ok()) return signal;
    EXPECT_EQ(output->first_sample, static_cast<int64_t>(signal.size()));
    signal.insert(signal.end(), output->samples.begin(), output->samples.end());
  }
  return signal;
}

double Energy(const std::vector<float>& signal, size_t from, size_t to) {
  double sum = 0;
  for (size_t i = from; i < to; ++i) sum += static_cast<double>(signal[i]) * signal[i];
  return sum / static_cast<double>(to - from);
}

double SquaredError(const std::vector<float>& a, const std::vector<float>& b, size_t from, size_t to) {
  double sum = 0;
  for (size_t i = from; i < to; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum / static_cast<double>(to - from);
}

TEST(OpusInputTest, PacketsOfEveryLengthBecomeWholeSamples) {
  // 2.5 to 60 ms.
  for (const int frame : {120, 240, 480, 960, 1'920, 2'880}) {
    for (const int channels : {1, 2}) {
      auto input = MakeInput(channels);
      const auto packets = Encode(kRate, {.frame_samples = frame, .channels = channels, .bit_rate = 64'000});
      const auto signal = Decode(*input, packets, frame);
      ASSERT_EQ(signal.size(), packets.size() * frame / 3) << frame;
      EXPECT_GT(Energy(signal, signal.size() / 2, signal.size()), 1e-3) << frame;
    }
  }
}

TEST(OpusInputTest, APacketOf120MillisecondsIsTaken) {
  const auto packets = Encode(kRate / 2, {.frame_samples = 960});
  OpusRepacketizer* repacketizer = opus_repacketizer_create();
  for (size_t i = 0; i < 6; ++i) {
    ASSERT_EQ(opus_repacketizer_cat(repacketizer, reinterpret_cast<const unsigned char*>(packets[i].data()),
                                    static_cast<opus_int32>(packets[i].size())),
              OPUS_OK);
  }
  std::string joined(4'000, '\0');
  joined.resize(
      static_cast<size_t>(opus_repacketizer_out(repacketizer, reinterpret_cast<unsigned char*>(joined.data()),
                                                static_cast<opus_int32>(joined.size()))));
  opus_repacketizer_destroy(repacketizer);
  auto input = MakeInput();
  const auto output = input->Push(joined, 0);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->samples.size(), 1'920u);
}

// How many samples (at 16 kHz) the signal lags behind the voice, by the highest correlation.
int Lag(const std::vector<float>& signal, size_t from, size_t length) {
  constexpr int kMaxLag = 200;
  std::vector<float> voice(length + kMaxLag);  // voice[i]: at from - kMaxLag + i
  for (size_t i = 0; i < voice.size(); ++i) voice[i] = Voice(3 * (from - kMaxLag + i));
  int best = 0;
  double highest = -1e9;
  for (int lag = 0; lag <= kMaxLag; ++lag) {
    double sum = 0;
    for (size_t i = 0; i < length; ++i) sum += signal[from + i] * voice[kMaxLag - lag + i];
    if (sum > highest) highest = sum, best = lag;
  }
  return best;
}

TEST(OpusInputTest, TheSignalStaysOnTheClockForMinutes) {
  for (const int application : {OPUS_APPLICATION_VOIP, OPUS_APPLICATION_AUDIO}) {
    auto input = MakeInput();
    const EncoderOptions options{.application = application, .bit_rate = 24'000};
    const auto signal = Decode(*input, Encode(uint64_t{kRate} * 120, options), 960);
    // The encoder's look-ahead is 6.5 ms, 104 samples; the decoder at 16 kHz adds or takes at most one.
    for (const size_t second : {1, 60, 118}) {
      EXPECT_NEAR(Lag(signal, second * engine::kSampleRateHz, 8'000), 104, 1)
          << second << " s, " << application;
    }
  }
}

TEST(OpusInputTest, ALostPacketComesBackFromTheNextOnesErrorCorrection) {
  const auto with = Encode(kRate * 4, {.fec = true});
  const auto without = Encode(kRate * 4, {.fec = false});
  const std::vector<size_t> lost = {50, 75, 100, 125, 150};
  double error_with = 0;
  double error_without = 0;
  const auto whole_with = Decode(*MakeInput(), with, 960);
  const auto whole_without = Decode(*MakeInput(), without, 960);
  const auto mended_with = Decode(*MakeInput(), with, 960, lost);
  const auto mended_without = Decode(*MakeInput(), without, 960, lost);
  ASSERT_EQ(mended_with.size(), whole_with.size());
  for (const size_t i : lost) {
    error_with += SquaredError(whole_with, mended_with, i * 320, (i + 1) * 320);
    error_without += SquaredError(whole_without, mended_without, i * 320, (i + 1) * 320);
  }
  EXPECT_LT(error_with, 0.5 * error_without);
}

TEST(OpusInputTest, AGapIsConcealedAndReported) {
  auto input = MakeInput();
  const auto packets = Encode(kRate, {});
  for (size_t i = 0; i < 20; ++i) ASSERT_TRUE(input->Push(packets[i], i * 960).ok());
  const auto output = input->Push(packets[25], 25 * 960);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->first_sample, 20 * 320);
  EXPECT_EQ(output->samples.size(), 6u * 320);
  EXPECT_EQ(output->concealed_samples, 5 * 960);
  EXPECT_EQ(output->repeated_samples, 0);
  EXPECT_GT(Energy(output->samples, 0, 160), 1e-5);  // concealed, not silence
}

TEST(OpusInputTest, LateAndRepeatedPacketsAreDroppedAndReported) {
  auto input = MakeInput();
  const auto packets = Encode(kRate, {});
  ASSERT_TRUE(input->Push(packets[0], 0).ok());
  ASSERT_TRUE(input->Push(packets[2], 2 * 960).ok());
  for (const size_t i : {1, 2, 0}) {
    const auto output = input->Push(packets[i], i * 960);
    ASSERT_TRUE(output.ok()) << output.status();
    EXPECT_TRUE(output->samples.empty());
    EXPECT_EQ(output->repeated_samples, 960);
  }
  const auto overlapping = input->Push(packets[3], 3 * 960 - 480);
  ASSERT_TRUE(overlapping.ok());
  EXPECT_EQ(overlapping->repeated_samples, 480);
  EXPECT_EQ(overlapping->samples.size(), 160u);
  EXPECT_EQ(overlapping->first_sample, 3 * 320);
}

TEST(OpusInputTest, IndicesOffThePacketGridStayOnTheClock) {
  auto input = MakeInput();
  const auto packets = Encode(kRate * 2, {});
  std::mt19937 random(1);
  uint64_t index = 1'001;
  int64_t next = -1;
  for (const std::string& packet : packets) {
    const auto output = input->Push(packet, index);
    ASSERT_TRUE(output.ok()) << output.status();
    EXPECT_EQ(output->first_sample, next >= 0 ? next : output->first_sample);
    next = output->first_sample + static_cast<int64_t>(output->samples.size());
    EXPECT_EQ(next, std::llround((static_cast<double>(index) + 960) / 3));
    index += 960 + random() % 400;
    if (random() % 4 == 0) index -= 500;
  }
}

TEST(OpusInputTest, BadPacketsAreTypedErrorsAndCountAsLost) {
  auto input = MakeInput();
  const auto packets = Encode(kRate, {});
  ASSERT_TRUE(input->Push(packets[0], 0).ok());
  EXPECT_EQ(input->Push("", 960).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(input->Push("\xff", 960).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(input->Push(std::string("\x03\x7f\xff\xff"), 960).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(input->Push(packets[1], UINT64_MAX - 100).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(input->Push(packets[1], 960 + 48 * kMaxGapMs + 1).status().code(), absl::StatusCode::kOutOfRange);
  const auto output = input->Push(packets[2], 2 * 960);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->concealed_samples, 960);
}

TEST(OpusInputTest, GarbageGivesAStatusAndSamplesInRange) {
  std::mt19937 random(1);
  const auto packets = Encode(kRate, {.fec = true});
  auto input = MakeInput();
  uint64_t index = 0;
  for (int i = 0; i < 3'000; ++i) {
    std::string packet = packets[random() % packets.size()];
    if (i % 2 == 0) {
      packet.resize(random() % 300);
      for (char& byte : packet) byte = static_cast<char>(random());
    } else if (!packet.empty()) {
      packet[random() % packet.size()] = static_cast<char>(random());
    }
    const auto output = input->Push(packet, index + (random() % 8 == 0 ? random() % 5'000 : 0));
    if (!output.ok()) {
      EXPECT_EQ(output.status().code(), absl::StatusCode::kInvalidArgument) << output.status();
      continue;
    }
    for (const float sample : output->samples) ASSERT_TRUE(sample >= -1.0f && sample <= 1.0f);
    index = input->ToWireIndex(output->first_sample + static_cast<int64_t>(output->samples.size()));
  }
}

TEST(OpusInputTest, AfterAFlushTheSignalGoesOnOrJumps) {
  auto input = MakeInput();
  const auto packets = Encode(kRate, {});
  ASSERT_TRUE(input->Push(packets[0], 0).ok());
  EXPECT_TRUE(input->Flush().samples.empty());
  EXPECT_EQ(input->Push(packets[1], 960)->first_sample, 320);
  EXPECT_EQ(input->Flush().first_sample, 640);
  const auto jumped = input->Push(packets[2], uint64_t{kRate} * 3'600);
  ASSERT_TRUE(jumped.ok()) << jumped.status();
  EXPECT_EQ(jumped->first_sample, 16'000 * 3'600);
  EXPECT_EQ(jumped->concealed_samples, 0);
}

}  // namespace
}  // namespace parley::streaming

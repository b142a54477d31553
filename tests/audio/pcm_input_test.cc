#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "streaming/audio/audio_input.h"

namespace parley::streaming {
namespace {

constexpr int kMaxGapMs = 5'000;

std::unique_ptr<AudioInput> MakeInput(int rate, int channels = 1) {
  auto input = AudioInput::Create({AudioCodec::kPcm16, rate, channels}, kMaxGapMs);
  EXPECT_TRUE(input.ok()) << input.status();
  return *std::move(input);
}

std::string Pcm(const std::vector<int>& samples) {
  std::string bytes;
  for (const int sample : samples) {
    bytes += static_cast<char>(sample);
    bytes += static_cast<char>(sample >> 8);
  }
  return bytes;
}

// Sound at `index` of a `rate` Hz signal: a sine that sweeps slowly, so that no two places sound alike.
double Sweep(double seconds) {
  return 0.5 * std::sin(2 * std::numbers::pi * (300 * seconds + 5 * seconds * seconds));
}

std::string SweepPcm(int rate, uint64_t first, size_t count, int channels = 1) {
  std::vector<int> samples;
  for (size_t i = 0; i < count; ++i) {
    const int sample = static_cast<int>(std::lround(32'767 * Sweep(static_cast<double>(first + i) / rate)));
    for (int c = 0; c < channels; ++c) samples.push_back(sample);
  }
  return Pcm(samples);
}

TEST(PcmInputTest, SamplesAt16kHzAreTheChunksOwn) {
  auto input = MakeInput(16'000);
  const auto output = input->Push(Pcm({0, 16'384, -32'768, 32'767}), 5);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->first_sample, 5);
  EXPECT_THAT(output->samples, ::testing::ElementsAre(0.0f, 0.5f, -1.0f, 32'767.0f / 32'768));
  EXPECT_EQ(input->ToWireIndex(7), 7u);
}

TEST(PcmInputTest, TwoChannelsAreAveraged) {
  auto input = MakeInput(16'000, 2);
  const auto output = input->Push(Pcm({16'384, -16'384, 16'384, 16'384, 0, 16'384}), 0);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_THAT(output->samples, ::testing::ElementsAre(0.0f, 0.5f, 0.25f));
}

class EveryRate : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Rates, EveryRate,
                         ::testing::Values(8'000, 11'025, 12'345, 16'000, 22'050, 24'000, 32'000, 44'100,
                                           47'999, 48'000));

TEST_P(EveryRate, SampleNIsTheSoundAtItsTimeAfterMinutesOfOddChunks) {
  const int rate = GetParam();
  auto input = MakeInput(rate);
  std::mt19937 random(1);
  constexpr int kSeconds = 150;
  const uint64_t start = 12'345;
  uint64_t index = start;
  int64_t next = -1;
  double worst = 0;
  while (index < start + static_cast<uint64_t>(rate) * kSeconds) {
    const size_t count = 1 + random() % (rate / 10);
    const auto output = input->Push(SweepPcm(rate, index, count), index);
    ASSERT_TRUE(output.ok()) << output.status();
    ASSERT_EQ(output->concealed_samples, 0);
    ASSERT_EQ(output->first_sample, next >= 0 ? next : output->first_sample);
    const double seconds = static_cast<double>(output->first_sample) / engine::kSampleRateHz;
    for (size_t i = 0; i < output->samples.size(); ++i) {
      // The signal starts hard: the filter's first two milliseconds are left out.
      if (next < 0 && i < 32) continue;
      worst =
          std::max(worst, std::abs(output->samples[i] - Sweep(seconds + double(i) / engine::kSampleRateHz)));
    }
    next = output->first_sample + static_cast<int64_t>(output->samples.size());
    index += count;
  }
  // The sweep reaches 1.8 kHz: half a sample off (the most that rounding the start can do) is 0.18.
  EXPECT_LE(worst, 0.5 * 2 * std::numbers::pi * 1'800 * 0.5 / engine::kSampleRateHz + 0.01);
  // Nothing is lost and nothing is made up.
  const AudioSamples rest = input->Flush();
  EXPECT_EQ(rest.first_sample, next);
  EXPECT_EQ(rest.first_sample + static_cast<int64_t>(rest.samples.size()),
            std::llround(static_cast<double>(index) * engine::kSampleRateHz / rate));
}

TEST_P(EveryRate, ChunkSizesDoNotChangeTheSignal) {
  const int rate = GetParam();
  const size_t total = static_cast<size_t>(rate) / 2;
  auto whole = MakeInput(rate);
  const auto at_once = whole->Push(SweepPcm(rate, 0, total), 0);
  ASSERT_TRUE(at_once.ok());
  auto pieces = MakeInput(rate);
  std::vector<float> joined;
  for (size_t at = 0; at < total;) {
    const size_t count = std::min<size_t>(1 + at % 37, total - at);
    const auto output = pieces->Push(SweepPcm(rate, at, count), at);
    ASSERT_TRUE(output.ok());
    joined.insert(joined.end(), output->samples.begin(), output->samples.end());
    at += count;
  }
  const AudioSamples rest = pieces->Flush();
  joined.insert(joined.end(), rest.samples.begin(), rest.samples.end());
  ASSERT_GE(joined.size(), at_once->samples.size());
  for (size_t i = 0; i < at_once->samples.size(); ++i) ASSERT_NEAR(joined[i], at_once->samples[i], 1e-6) << i;
}

TEST_P(EveryRate, AnImpulseStaysWhereItIs) {
  const int rate = GetParam();
  auto input = MakeInput(rate);
  std::vector<int> samples(static_cast<size_t>(rate), 0);
  const int at = rate / 3;
  samples[static_cast<size_t>(at)] = 30'000;
  const auto output = input->Push(Pcm(samples), 0);
  ASSERT_TRUE(output.ok());
  const auto peak =
      std::max_element(output->samples.begin(), output->samples.end()) - output->samples.begin();
  EXPECT_NEAR(static_cast<double>(peak), static_cast<double>(at) * engine::kSampleRateHz / rate, 1.0);
}

TEST_P(EveryRate, AGapIsSilenceOfItsLength) {
  const int rate = GetParam();
  auto input = MakeInput(rate);
  const uint64_t second = static_cast<uint64_t>(rate);
  ASSERT_TRUE(input->Push(SweepPcm(rate, 0, second), 0).ok());
  const auto output = input->Push(SweepPcm(rate, 2 * second, second), 2 * second);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->concealed_samples, rate);
  EXPECT_EQ(output->repeated_samples, 0);
  const auto sample_at = [&](double seconds) {
    return output->samples.at(static_cast<size_t>(seconds * engine::kSampleRateHz) - output->first_sample);
  };
  EXPECT_NEAR(sample_at(1.5), 0, 1e-4);
  double energy = 0;
  for (int i = 0; i < 100; ++i) energy += std::abs(sample_at(2.5 + i * 1e-4) - Sweep(2.5 + i * 1e-4));
  EXPECT_LE(energy / 100, 0.05);
}

TEST_P(EveryRate, WhatWasHeardAlreadyIsDropped) {
  const int rate = GetParam();
  auto plain = MakeInput(rate);
  auto repeating = MakeInput(rate);
  const size_t count = static_cast<size_t>(rate) / 10;
  std::vector<float> expected;
  std::vector<float> got;
  for (size_t i = 0; i < 10; ++i) {
    const auto output = plain->Push(SweepPcm(rate, i * count, count), i * count);
    ASSERT_TRUE(output.ok());
    expected.insert(expected.end(), output->samples.begin(), output->samples.end());
    const size_t back = i == 0 ? 0 : count / 3;
    const auto late = repeating->Push(SweepPcm(rate, i * count - back, count + back), i * count - back);
    ASSERT_TRUE(late.ok());
    EXPECT_EQ(late->repeated_samples, static_cast<int64_t>(back));
    got.insert(got.end(), late->samples.begin(), late->samples.end());
    const auto again = repeating->Push(SweepPcm(rate, 0, count), 0);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->repeated_samples, static_cast<int64_t>(count));
    EXPECT_TRUE(again->samples.empty());
  }
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-6) << i;
}

TEST(PcmInputTest, AfterAFlushTheSignalGoesOnOrJumps) {
  auto input = MakeInput(48'000);
  ASSERT_TRUE(input->Push(SweepPcm(48'000, 0, 48'000), 0).ok());
  AudioSamples rest = input->Flush();
  EXPECT_EQ(rest.first_sample + static_cast<int64_t>(rest.samples.size()), 16'000);
  const auto next = input->Push(SweepPcm(48'000, 48'000, 48'000), 48'000);
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->first_sample, 16'000);
  rest = input->Flush();
  const uint64_t later = 48'000ull * 3'600;
  const auto jumped = input->Push(SweepPcm(48'000, later, 4'800), later);
  ASSERT_TRUE(jumped.ok()) << jumped.status();
  EXPECT_EQ(jumped->first_sample, 16'000 * 3'600);
  EXPECT_EQ(jumped->concealed_samples, 0);
}

TEST(PcmInputTest, BadChunksAreTypedErrorsAndLeaveNothingBehind) {
  auto input = MakeInput(48'000, 2);
  ASSERT_TRUE(input->Push(SweepPcm(48'000, 0, 480, 2), 0).ok());
  EXPECT_EQ(input->Push("", 480).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(input->Push("abc", 480).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(input->Push("ab", 480).status().code(),
            absl::StatusCode::kInvalidArgument);  // one channel's half
  EXPECT_EQ(input->Push("abcd", UINT64_MAX).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(input->Push("abcd", 480 + 48 * kMaxGapMs + 1).status().code(), absl::StatusCode::kOutOfRange);
  const auto output = input->Push(SweepPcm(48'000, 480, 480, 2), 480);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->concealed_samples, 0);
}

TEST(AudioInputTest, FormatsOutOfRangeAreRefused) {
  const auto code = [](AudioFormat format) { return AudioInput::Create(format, kMaxGapMs).status().code(); };
  EXPECT_EQ(code({AudioCodec::kPcm16, 7'999, 1}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({AudioCodec::kPcm16, 48'001, 1}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({AudioCodec::kPcm16, -1, 1}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({AudioCodec::kPcm16, 16'000, 0}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({AudioCodec::kPcm16, 16'000, 3}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({AudioCodec::kOpus, 16'000, 1}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({AudioCodec::kOpus, 48'000, 2}), absl::StatusCode::kOk);
}

}  // namespace
}  // namespace parley::streaming

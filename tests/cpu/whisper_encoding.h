// What Whisper base's encoder makes of audio, for the tests of its networks.
#pragma once

#include <string>
#include <vector>

#include "engine/cpu/whisper/encoder.h"
#include "engine/cpu/whisper/layer_runner.h"
#include "engine/cpu/whisper/layers.h"
#include "gtest/gtest.h"
#include "tests/cpu/whisper_fixture.h"

namespace parley::engine::whisper {

constexpr int kEncoderWidth = 512;

// A clip and a second of silence, in whole positions.
inline std::vector<float> Trimmed(const std::string& clip) {
  std::vector<float> samples = parley::testing::ReadClip(clip);
  samples.resize((samples.size() + kSampleRateHz + 319) / 320 * 320);
  return samples;
}

// [positions, kEncoderWidth]
inline std::vector<float> EncodeInFp32(const std::vector<float>& samples) {
  const auto weights = bundle::Safetensors::OpenFolder(EncoderPath());
  EXPECT_TRUE(weights.ok()) << weights.status();
  const Config& config = English().parts().config;
  EXPECT_EQ(config.width, kEncoderWidth);
  cpu::LayerReader reader(&*weights, Arithmetic::kFp32);
  cpu::LayerRunner runner(/*threads=*/2, Arithmetic::kFp32);
  cpu::WhisperEncoder encoder(&reader, config, &runner);
  EXPECT_TRUE(reader.status().ok()) << reader.status();
  cpu::Floats x;
  const int positions = encoder.Begin(samples, x);
  for (int layer = 0; layer < config.encoder_layers; ++layer) encoder.Layer(layer, positions, x.data());
  encoder.End(positions, x.data());
  return {x.data(), x.data() + static_cast<size_t>(positions) * kEncoderWidth};
}

// Every `step`th position's first 32 values against a reference that holds just those.
inline void ExpectEncoding(const std::vector<float>& encoded, int step, const std::vector<float>& expected) {
  const size_t positions = encoded.size() / kEncoderWidth;
  ASSERT_EQ(expected.size(), (positions + step - 1) / step * 32);
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(encoded[i / 32 * step * kEncoderWidth + i % 32], expected[i], 1e-3) << "value " << i;
  }
}

}  // namespace parley::engine::whisper

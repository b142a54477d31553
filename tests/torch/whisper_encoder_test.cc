// Whisper's encoder in LibTorch's operations: against transformers, and the fast kernels against it.
#include "engine/torch/whisper_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <vector>

#include "engine/cpu/whisper/log_mel.h"
#include "gtest/gtest.h"
#include "tests/cpu/whisper_encoding.h"
#include "tests/cpu/whisper_fixture.h"

namespace parley::engine::whisper {
namespace {

std::vector<float> EncodeInTorch(const std::vector<float>& samples) {
  const c10::InferenceMode inference;
  const auto weights = bundle::Safetensors::OpenFolder(EncoderPath());
  EXPECT_TRUE(weights.ok()) << weights.status();
  libtorch::WeightReader reader(&*weights);
  const libtorch::WhisperEncoder encoder(&reader, English().parts().config, Arithmetic::kFp32);
  EXPECT_TRUE(reader.status().ok()) << reader.status();
  std::vector<float> frames = cpu::LogMel(80).Compute(samples);
  at::Tensor x = encoder.Begin(
      at::from_blob(frames.data(), {cpu::LogMel::Frames(samples), 80}, at::kFloat).t().contiguous());
  for (int layer = 0; layer < encoder.layers(); ++layer) x = encoder.Layer(layer, x);
  x = encoder.End(x).contiguous();
  return {x.const_data_ptr<float>(), x.const_data_ptr<float>() + x.numel()};
}

TEST(TorchWhisperEncoder, EncodingOfAFullWindowIsTheReferences) {
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  samples.resize(30 * kSampleRateHz);
  ExpectEncoding(EncodeInTorch(samples), 50, parley::testing::ReadFloats("whisper_encoder_full.f32"));
}

TEST(TorchWhisperEncoder, TheFastKernelsGiveItsValuesAtEveryPosition) {
  const std::vector<float> samples = Trimmed("rms_book");
  const std::vector<float> expected = EncodeInTorch(samples);
  const std::vector<float> actual = EncodeInFp32(samples);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], 1e-3 * (1 + std::abs(expected[i]))) << "value " << i;
  }
}

}  // namespace
}  // namespace parley::engine::whisper

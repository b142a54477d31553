// The language model in LibTorch's operations: against transformers, and the fast kernels against it.
#include "engine/torch/llama.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/cpu/llama.h"
#include "engine/torch/language_model.h"
#include "tests/cpu/random_checkpoint.h"
#include "tests/model/language_model_contract.h"

namespace parley::engine {

std::unique_ptr<LanguageModel> LoadForTest(std::shared_ptr<const bundle::LanguageModelFiles> files) {
  auto model = libtorch::Llama::Load(std::move(files), {.kv_bytes = 1 << 20});
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return nullptr;
  return *std::move(model);
}

namespace {

std::shared_ptr<const bundle::LanguageModelFiles> TinyFiles(const std::string& name) {
  auto files =
      bundle::LanguageModelFiles::OpenFolder(PARLEY_SOURCE_DIR "/tests/reference/tiny_models/" + name);
  EXPECT_TRUE(files.ok()) << files.status();
  return std::make_shared<const bundle::LanguageModelFiles>(*std::move(files));
}

TEST(TorchLlama, Bf16StaysNearTheReference) {
  const auto expected = ReadJson("reference/tiny_models/tiny_qwen2/expected.json");
  const auto model = libtorch::Llama::Load(
      TinyFiles("tiny_qwen2"), {.arithmetic = Arithmetic::kBf16, .kv_bytes = 1 << 20, .kv_type = at::kHalf});
  ASSERT_TRUE(model.ok()) << model.status();
  const auto sequence = (*model)->NewPagedSequence();
  const auto logits = RunChunk(**model, sequence.get(), expected["ids"].get<std::vector<TokenId>>());
  const auto row = expected["logits"].back().get<std::vector<float>>();
  for (size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(logits[i], row[i], 0.15);
}

TEST(TorchLlama, SaysWhenThePagesAreOutAndGoesOnWhenSomeAreGivenBack) {
  const auto model = libtorch::Llama::Load(TinyFiles("tiny_llama"), {.kv_bytes = 4 * 2048});
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ((*model)->page_bytes(), 2048);  // 2 layers x 2 sides x 16 tokens x 2 heads x 4 values
  const auto sequence = (*model)->NewPagedSequence();
  RunChunk(**model, sequence.get(), std::vector<TokenId>(60, 1));
  const auto other = (*model)->NewPagedSequence();
  const std::vector<TokenId> tokens(20, 2);
  Chunk entry = {other.get(), tokens, nullptr};
  EXPECT_EQ(RunStep(**model, {entry}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(other->length(), 0);
  sequence->Truncate(30);
  EXPECT_TRUE(RunStep(**model, {entry}).ok());
  EXPECT_EQ((*model)->pages().in_use, 4);
}

TEST(TorchLlama, WhatLibTorchDoesNotHaveIsRefusedByName) {
  const auto integers = libtorch::LoadOnCpu(TinyFiles("tiny_llama"), {.arithmetic = Arithmetic::kInt8});
  EXPECT_EQ(integers.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(integers.status().message()), testing::HasSubstr("int8"));
  const auto kv = libtorch::LoadOnCpu(TinyFiles("tiny_llama"), {.kv_format = KvFormat::kInt8});
  EXPECT_EQ(kv.status().code(), absl::StatusCode::kInvalidArgument);
}

// Widths that the kernels take as they are, and widths that they do not.
TEST(TorchLlama, TheFastKernelsScoreWhatItScoresWhateverTheWidths) {
  for (const RandomCheckpoint& shape :
       {RandomCheckpoint{},
        {.hidden = 112, .ffn = 90, .heads = 4, .kv_heads = 2},
        {.hidden = 72, .ffn = 172, .heads = 6, .kv_heads = 3},
        {.hidden = 144, .ffn = 33, .heads = 2, .kv_heads = 1},
        {.hidden = 90, .ffn = 64, .heads = 5, .kv_heads = 5, .vocabulary = 77},
        {.hidden = 320, .ffn = 64, .heads = 1, .kv_heads = 1}}) {
    SCOPED_TRACE(shape.hidden);
    const std::string folder = testing::TempDir() + "/torch_llama_shape";
    shape.Write(folder);
    auto opened = bundle::LanguageModelFiles::OpenFolder(folder);
    ASSERT_TRUE(opened.ok()) << opened.status();
    const auto files = std::make_shared<const bundle::LanguageModelFiles>(*std::move(opened));
    const auto exact = LoadForTest(files);
    ASSERT_NE(exact, nullptr);
    std::vector<TokenId> tokens(50);
    for (int i = 0; i < 50; ++i) tokens[i] = (i * 7 + i * i) % shape.vocabulary;
    const auto expected = RunEachToken(*exact, tokens);
    // Of the differences from what LibTorch scores, in deviations of the scores; fp32: the largest
    // difference. What is wrong by its layout is about 1.4 deviations away.
    for (const auto& [arithmetic, tolerance] : {std::pair(Arithmetic::kFp32, 2e-4),
                                                {Arithmetic::kBf16, 0.1},
                                                {Arithmetic::kInt16, 0.15},
                                                {Arithmetic::kInt8, 0.3}}) {
      SCOPED_TRACE(ArithmeticName(arithmetic));
      const bool exactly = arithmetic == Arithmetic::kFp32;
      const auto kv_format = exactly ? kernels::KvFormat::kFp32 : kernels::KvFormat::kFp16;
      const auto fast =
          cpu::Llama::Load(files, {.threads = 2, .arithmetic = arithmetic, .kv_format = kv_format});
      ASSERT_TRUE(fast.ok()) << fast.status();
      const auto rows = RunEachToken(**fast, tokens);
      double largest = 0, squares = 0, differences = 0;
      for (size_t i = 0; i < rows.size(); ++i) {
        for (int j = 0; j < shape.vocabulary; ++j) {
          const double difference = rows[i][j] - expected[i][j];
          largest = std::max(largest, std::abs(difference));
          differences += difference * difference;
          squares += expected[i][j] * expected[i][j];
        }
      }
      const double deviation = std::sqrt(squares / static_cast<double>(rows.size() * shape.vocabulary));
      const double error = exactly ? largest / deviation : std::sqrt(differences / squares);
      EXPECT_LT(error, tolerance);
      std::printf("hidden %d, %s: %.2g\n", shape.hidden, std::string(ArithmeticName(arithmetic)).c_str(),
                  error);
    }
  }
}

}  // namespace
}  // namespace parley::engine

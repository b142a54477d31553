// The language model on small random checkpoints, against transformers (tests/reference/tiny_models.py).
#include "engine/torch/llama.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/torch/json_file.h"
#include "tests/torch/steps.h"

namespace parley::engine {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Llama> LoadTiny(const std::string& name, Arithmetic arithmetic = Arithmetic::kFp32) {
  auto files =
      bundle::LanguageModelFiles::OpenFolder(std::string(PARLEY_SOURCE_DIR) + "/tests/torch/data/" + name);
  if (!files.ok()) {
    ADD_FAILURE() << files.status();
    return nullptr;
  }
  auto model = Llama::Load(std::make_shared<const bundle::LanguageModelFiles>(*std::move(files)), arithmetic);
  if (!model.ok()) {
    ADD_FAILURE() << model.status();
    return nullptr;
  }
  return *std::move(model);
}

class TinyModelTest : public testing::TestWithParam<std::string> {
 protected:
  TinyModelTest()
      : expected_(ReadJson("torch/data/" + GetParam() + "/expected.json")), model_(LoadTiny(GetParam())) {}

  void ExpectRow(const std::vector<float>& actual, size_t position) {
    const auto expected = expected_["logits"][position].get<std::vector<float>>();
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[i], 1e-4) << "position " << position << " token " << i;
    }
  }

  nlohmann::json expected_;
  std::unique_ptr<Llama> model_;
};

TEST_P(TinyModelTest, LogitsAreTheReferencesTokenByToken) {
  const auto ids = expected_["ids"].get<std::vector<TokenId>>();
  const auto rows = RunEachToken(*model_, ids);
  for (size_t i = 0; i < rows.size(); ++i) ExpectRow(rows[i], i);
}

TEST_P(TinyModelTest, LogitsAreTheReferencesForEveryWayToCutThePrefill) {
  const auto ids = expected_["ids"].get<std::vector<TokenId>>();
  for (size_t first = 1; first <= ids.size(); ++first) {
    const auto cache = model_->NewCache();
    ExpectRow(RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).first(first)), first - 1);
    if (first == ids.size()) continue;
    ExpectRow(RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).subspan(first)), ids.size() - 1);
  }
}

TEST_P(TinyModelTest, SequencesOfOneStepDoNotSeeEachOther) {
  const auto ids = expected_["ids"].get<std::vector<TokenId>>();
  const auto decoding = model_->NewCache();
  const auto prefilling = model_->NewCache();
  const auto silent = model_->NewCache();
  RunChunk(*model_, decoding.get(), absl::MakeConstSpan(ids).first(5));
  std::vector<float> decoded;
  std::vector<float> prefilled;
  std::vector<StepEntry> entries = {{silent.get(), absl::MakeConstSpan(ids).subspan(4), nullptr},
                                    {decoding.get(), absl::MakeConstSpan(ids).subspan(5, 1), &decoded},
                                    {prefilling.get(), absl::MakeConstSpan(ids).first(9), &prefilled}};
  ASSERT_TRUE(model_->Step(absl::MakeSpan(entries)).ok());
  ExpectRow(decoded, 5);
  ExpectRow(prefilled, 8);
  EXPECT_EQ(silent->length(), static_cast<int>(ids.size()) - 4);
}

TEST_P(TinyModelTest, ATruncatedSequenceGoesOnAsIfTheRestHadNeverBeen) {
  const auto ids = expected_["ids"].get<std::vector<TokenId>>();
  const auto cache = model_->NewCache();
  RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).first(4));
  RunChunk(*model_, cache.get(), std::vector<TokenId>{1, 2, 3});
  cache->Truncate(4);
  ExpectRow(RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).subspan(4)), ids.size() - 1);
}

TEST_P(TinyModelTest, AForkGoesOnByItself) {
  const auto ids = expected_["ids"].get<std::vector<TokenId>>();
  const auto cache = model_->NewCache();
  RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).first(4));
  const std::unique_ptr<Sequence> fork = cache->Fork();
  RunChunk(*model_, cache.get(), std::vector<TokenId>{1, 2, 3});
  ExpectRow(RunChunk(*model_, fork.get(), absl::MakeConstSpan(ids).subspan(4)), ids.size() - 1);
  cache->Truncate(4);
  ExpectRow(RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).subspan(4)), ids.size() - 1);
}

TEST_P(TinyModelTest, WhatIsForgottenIsNotSeenAndLaterTokensKeepTheirPlaces) {
  const auto ids = expected_["ids"].get<std::vector<TokenId>>();
  const absl::Span<const TokenId> rest = absl::MakeConstSpan(ids).subspan(7);
  // Whatever it was, once it is forgotten the scores are the same: those of a gap of three positions.
  std::vector<std::vector<float>> scores;
  for (const std::vector<TokenId>& forgotten : {std::vector<TokenId>{1, 2, 3}, {9, 9, 9}, {}}) {
    const auto cache = model_->NewCache();
    RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).first(4));
    if (!forgotten.empty()) {
      RunChunk(*model_, cache.get(), forgotten);
      cache->Forget(4, 7);
      EXPECT_EQ(cache->length(), 7);
      EXPECT_EQ(cache->held(), 4);
    }
    scores.push_back(RunChunk(*model_, cache.get(), rest));
    // A rewind to the gap's far edge, and to its near one, where it was never there.
    if (!forgotten.empty()) {
      cache->Truncate(7);
      EXPECT_EQ(RunChunk(*model_, cache.get(), rest), scores.back());
      cache->Truncate(4);
      ExpectRow(RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).subspan(4)), ids.size() - 1);
    }
  }
  EXPECT_EQ(scores[0], scores[1]);
  EXPECT_NE(scores[0], scores[2]);  // the positions count
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, TinyModelTest,
                         testing::Values("tiny_qwen2", "tiny_packed", "tiny_llama"),
                         [](const auto& info) { return info.param; });

// The same weights as tiny_* from a GGUF file: biases, order of rotary rows, scaling; then blocks of 256.
class GgufModelTest : public testing::TestWithParam<std::pair<std::string, std::string>> {};
INSTANTIATE_TEST_SUITE_P(Files, GgufModelTest,
                         testing::Values(std::pair("llama", "torch/data/tiny_llama/expected.json"),
                                         std::pair("qwen2", "torch/data/tiny_qwen2/expected.json"),
                                         std::pair("qwen2_q8_0", "reference/tiny_gguf/qwen2_q8_0.json"),
                                         std::pair("llama_k", "reference/tiny_gguf/llama_k.json")),
                         [](const auto& info) { return info.param.first; });

TEST_P(GgufModelTest, LogitsAreTheReferences) {
  const auto expected = ReadJson(GetParam().second);
  auto files = bundle::LanguageModelFiles::Open(
      {.kind = "gguf", .path = PARLEY_SOURCE_DIR "/tests/reference/tiny_gguf/" + GetParam().first + ".gguf"});
  ASSERT_TRUE(files.ok()) << files.status();
  const auto model =
      Llama::Load(std::make_shared<const bundle::LanguageModelFiles>(*std::move(files)), Arithmetic::kFp32);
  ASSERT_TRUE(model.ok()) << model.status();
  const auto rows = RunEachToken(**model, expected["ids"].get<std::vector<TokenId>>());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = expected["logits"][i].get<std::vector<float>>();
    ASSERT_EQ(rows[i].size(), row.size());
    for (size_t j = 0; j < row.size(); ++j) EXPECT_NEAR(rows[i][j], row[j], 1e-4) << i << " " << j;
  }
}

TEST(LlamaTest, Bf16StaysNearTheReference) {
  const auto expected = ReadJson("torch/data/tiny_qwen2/expected.json");
  const auto model = LoadTiny("tiny_qwen2", Arithmetic::kBf16);
  const auto cache = model->NewCache();
  const auto logits = RunChunk(*model, cache.get(), expected["ids"].get<std::vector<TokenId>>());
  const auto row = expected["logits"].back().get<std::vector<float>>();
  for (size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(logits[i], row[i], 0.15);
}

TEST(LlamaTest, ATokenOutsideTheVocabularyIsRefusedAndChangesNothing) {
  const auto model = LoadTiny("tiny_llama");
  const auto good = model->NewCache();
  const auto bad = model->NewCache();
  const std::vector<TokenId> fine = {1, 2};
  for (TokenId id : {TokenId{-1}, TokenId{64}}) {
    const std::vector<TokenId> wrong = {3, id};
    std::vector<StepEntry> entries = {{good.get(), fine, nullptr}, {bad.get(), wrong, nullptr}};
    const absl::Status status = model->Step(absl::MakeSpan(entries));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("no token"));
    EXPECT_EQ(good->length(), 0);
    EXPECT_EQ(bad->length(), 0);
  }
}

TEST(LlamaTest, ASequenceNeverPassesTheContext) {
  const auto model = LoadTiny("tiny_llama");
  const auto cache = model->NewCache();
  const std::vector<TokenId> all(128, 1);
  RunChunk(*model, cache.get(), all);
  StepEntry one_more{cache.get(), absl::MakeConstSpan(all).first(1), nullptr};
  EXPECT_EQ(model->Step(absl::MakeSpan(&one_more, 1)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(cache->length(), 128);
}

}  // namespace
}  // namespace parley::engine

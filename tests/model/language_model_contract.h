// What every language model promises, on small random checkpoints of known scores
// (tests/reference/tiny_models.py, tiny_gguf.py). Included by the test of each implementation, which defines
// LoadForTest.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/bundle/language_model_files.h"
#include "engine/model/language_model.h"
#include "tests/model/steps.h"
#include "tests/reference/json_file.h"

namespace parley::engine {

// In fp32; null, and a failed test, when it cannot.
std::unique_ptr<LanguageModel> LoadForTest(std::shared_ptr<const bundle::LanguageModelFiles> files);

inline std::unique_ptr<LanguageModel> LoadPart(const bundle::BundleManifest::Part& part) {
  auto files = bundle::LanguageModelFiles::Open(part);
  if (!files.ok()) {
    ADD_FAILURE() << files.status();
    return nullptr;
  }
  return LoadForTest(std::make_shared<const bundle::LanguageModelFiles>(*std::move(files)));
}

inline std::unique_ptr<LanguageModel> LoadTiny(const std::string& name) {
  return LoadPart({"safetensors", PARLEY_SOURCE_DIR "/tests/reference/tiny_models/" + name});
}

inline void ExpectScores(const std::vector<float>& actual, const nlohmann::json& expected) {
  const auto row = expected.get<std::vector<float>>();
  ASSERT_EQ(actual.size(), row.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], row[i], 1e-4) << "token " << i;
}

class TinyModel : public testing::TestWithParam<std::string> {
 protected:
  TinyModel()
      : expected_(ReadJson("reference/tiny_models/" + GetParam() + "/expected.json")),
        ids_(expected_["ids"].get<std::vector<TokenId>>()),
        model_(LoadTiny(GetParam())) {}

  absl::Span<const TokenId> First(size_t count) const { return absl::MakeConstSpan(ids_).first(count); }
  absl::Span<const TokenId> From(size_t begin) const { return absl::MakeConstSpan(ids_).subspan(begin); }
  std::unique_ptr<Sequence> New() { return *model_->NewSequence(); }
  void ExpectScoresAfter(const std::vector<float>& actual, size_t position) {
    SCOPED_TRACE(position);
    ExpectScores(actual, expected_["logits"][position]);
  }

  const nlohmann::json expected_;
  const std::vector<TokenId> ids_;
  const std::unique_ptr<LanguageModel> model_;
};
INSTANTIATE_TEST_SUITE_P(Checkpoints, TinyModel, testing::Values("tiny_qwen2", "tiny_packed", "tiny_llama"),
                         [](const auto& info) { return info.param; });

TEST_P(TinyModel, ScoresAreTheReferencesTokenByToken) {
  const auto rows = RunEachToken(*model_, ids_);
  for (size_t i = 0; i < rows.size(); ++i) ExpectScoresAfter(rows[i], i);
}

TEST_P(TinyModel, ScoresAreTheReferencesForEveryWayToCutThePrefill) {
  for (size_t first = 1; first <= ids_.size(); ++first) {
    const auto sequence = New();
    ExpectScoresAfter(RunChunk(*model_, sequence.get(), First(first)), first - 1);
    if (first == ids_.size()) continue;
    ExpectScoresAfter(RunChunk(*model_, sequence.get(), From(first)), ids_.size() - 1);
  }
}

TEST_P(TinyModel, SequencesOfOneStepDoNotSeeEachOther) {
  const auto decoding = New();
  const auto prefilling = New();
  const auto silent = New();
  RunChunk(*model_, decoding.get(), First(5));
  std::vector<float> decoded;
  std::vector<float> prefilled;
  std::vector<StepEntry> entries = {{silent.get(), From(4), nullptr},
                                    {decoding.get(), From(5).first(1), &decoded},
                                    {prefilling.get(), First(9), &prefilled}};
  ASSERT_TRUE(model_->Step(absl::MakeSpan(entries)).ok());
  ExpectScoresAfter(decoded, 5);
  ExpectScoresAfter(prefilled, 8);
  EXPECT_EQ(silent->length(), static_cast<int>(ids_.size()) - 4);
}

TEST_P(TinyModel, ATruncatedSequenceGoesOnAsIfTheTokensHadNeverBeen) {
  const auto sequence = New();
  RunChunk(*model_, sequence.get(), First(4));
  RunChunk(*model_, sequence.get(), std::vector<TokenId>{1, 2, 3});
  sequence->Truncate(4);
  ExpectScoresAfter(RunChunk(*model_, sequence.get(), From(4)), ids_.size() - 1);
}

TEST_P(TinyModel, AForkGoesOnByItself) {
  const auto sequence = New();
  RunChunk(*model_, sequence.get(), First(4));
  const std::unique_ptr<Sequence> fork = sequence->Fork();
  RunChunk(*model_, sequence.get(), std::vector<TokenId>{1, 2, 3});
  ExpectScoresAfter(RunChunk(*model_, fork.get(), From(4)), ids_.size() - 1);
  sequence->Truncate(4);
  ExpectScoresAfter(RunChunk(*model_, sequence.get(), From(4)), ids_.size() - 1);
}

TEST_P(TinyModel, WhatIsForgottenIsNotSeenAndLaterTokensKeepTheirPlaces) {
  const std::vector<int> new_page = {0};
  // Whatever it was, once it is forgotten the scores are the same: those of a gap of three positions.
  std::vector<std::vector<float>> scores;
  for (const std::vector<TokenId>& forgotten : {std::vector<TokenId>{1, 2, 3}, {9, 9, 9}, {}}) {
    const auto sequence = New();
    RunChunk(*model_, sequence.get(), First(4));
    if (!forgotten.empty()) {
      RunChunk(*model_, sequence.get(), forgotten, new_page);
      sequence->Forget(4, 7);
      EXPECT_EQ(sequence->length(), 7);
      EXPECT_EQ(sequence->pages(), 1);
    }
    scores.push_back(RunChunk(*model_, sequence.get(), From(7), new_page));
    // A rewind to the gap's far edge, and to its near one, where it was never there.
    if (!forgotten.empty()) {
      sequence->Truncate(7);
      EXPECT_EQ(RunChunk(*model_, sequence.get(), From(7), new_page), scores.back());
      sequence->Truncate(4);
      ExpectScoresAfter(RunChunk(*model_, sequence.get(), From(4)), ids_.size() - 1);
    }
  }
  EXPECT_EQ(scores[0], scores[1]);
  EXPECT_NE(scores[0], scores[2]);  // the positions count
}

// The same weights from a GGUF file: biases, order of rotary rows, scaling; then blocks of 32 and of 256.
class TinyGguf : public testing::TestWithParam<std::pair<std::string, std::string>> {};
INSTANTIATE_TEST_SUITE_P(Files, TinyGguf,
                         testing::Values(std::pair("llama", "reference/tiny_models/tiny_llama/expected.json"),
                                         std::pair("qwen2", "reference/tiny_models/tiny_qwen2/expected.json"),
                                         std::pair("qwen2_q8_0", "reference/tiny_gguf/qwen2_q8_0.json"),
                                         std::pair("llama_k", "reference/tiny_gguf/llama_k.json")),
                         [](const auto& info) { return info.param.first; });

TEST_P(TinyGguf, ScoresAreTheReferences) {
  const auto expected = ReadJson(GetParam().second);
  const auto model =
      LoadPart({"gguf", PARLEY_SOURCE_DIR "/tests/reference/tiny_gguf/" + GetParam().first + ".gguf"});
  ASSERT_NE(model, nullptr);
  const auto rows = RunEachToken(*model, expected["ids"].get<std::vector<TokenId>>());
  for (size_t i = 0; i < rows.size(); ++i) ExpectScores(rows[i], expected["logits"][i]);
}

TEST(LanguageModelContract, ATokenOutsideTheVocabularyIsRefusedAndChangesNothing) {
  const auto model = LoadTiny("tiny_llama");
  const auto good = *model->NewSequence();
  const auto bad = *model->NewSequence();
  const std::vector<TokenId> fine = {1, 2};
  for (const TokenId id : {TokenId{-1}, TokenId{64}}) {
    const std::vector<TokenId> wrong = {3, id};
    std::vector<StepEntry> entries = {{good.get(), fine, nullptr}, {bad.get(), wrong, nullptr}};
    const absl::Status status = model->Step(absl::MakeSpan(entries));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("token"));
    EXPECT_EQ(good->length(), 0);
    EXPECT_EQ(bad->length(), 0);
  }
}

TEST(LanguageModelContract, ASequenceNeverPassesTheContext) {
  const auto model = LoadTiny("tiny_llama");
  const auto sequence = *model->NewSequence();
  const std::vector<TokenId> all(128, 1);
  RunChunk(*model, sequence.get(), all);
  StepEntry one_more{sequence.get(), absl::MakeConstSpan(all).first(1), nullptr};
  EXPECT_EQ(model->Step(absl::MakeSpan(&one_more, 1)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sequence->length(), 128);
}

}  // namespace parley::engine

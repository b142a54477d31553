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

// Of a tiny model, as features.
inline Features EmbeddingsOf(const std::string& name, absl::Span<const TokenId> ids, int hidden) {
  auto files = bundle::LanguageModelFiles::Open(
      {"safetensors", PARLEY_SOURCE_DIR "/tests/reference/tiny_models/" + name});
  if (!files.ok()) {
    ADD_FAILURE() << files.status();
    return {};
  }
  const bundle::TensorView table = files->Find(bundle::Weight::kEmbedding);
  auto values = std::make_shared<std::vector<float>>();
  for (const TokenId id : ids) {
    const size_t row = table.bytes.size() / table.shape[0];
    std::vector<float> embedding(hidden);
    const bundle::TensorView one = {table.name, table.dtype, {1, hidden}, table.bytes.subspan(id * row, row)};
    EXPECT_TRUE(bundle::Dequantize(one, absl::MakeSpan(embedding)).ok());
    values->insert(values->end(), embedding.begin(), embedding.end());
  }
  return {.values = {values, values->data()}, .rows = static_cast<int>(ids.size()), .hidden = hidden};
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
  std::vector<Chunk> entries = {{silent.get(), From(4), nullptr},
                                {decoding.get(), From(5).first(1), &decoded},
                                {prefilling.get(), First(9), &prefilled}};
  ASSERT_TRUE(RunStep(*model_, entries).ok());
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

TEST_P(TinyModel, EveryRowIsAnsweredWithWhatItWasAskedFor) {
  const std::vector<std::vector<float>> scores = RunEachToken(*model_, ids_);
  const auto sequence = New();
  std::vector<float> all;
  std::vector<float> hidden;
  std::vector<float> named_scores;
  const std::vector<TokenId> named = {7, 3};
  text::Sampler greedy({.temperature = 0});
  absl::StatusOr<TokenId> token = absl::UnknownError("not answered");
  const std::vector<RowRequest> requests = {
      {.row = 1, .scores = &all},
      {.row = 3, .named = named, .named_scores = &named_scores, .hidden = &hidden},
      {.row = 4, .sampler = &greedy, .token = &token}};
  const StepEntry entry = {.sequence = sequence.get(), .tokens = First(6), .requests = requests};
  ASSERT_TRUE(model_->Step({&entry, 1}).ok());
  ExpectScoresAfter(all, 1);
  ASSERT_EQ(named_scores.size(), 2u);
  EXPECT_NEAR(named_scores[0], scores[3][7], 1e-4);
  EXPECT_NEAR(named_scores[1], scores[3][3], 1e-4);
  EXPECT_EQ(static_cast<int>(hidden.size()), model_->hidden());
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(*token, Best(scores[4]));
  // What was asked for changes nothing of what comes after.
  ExpectScoresAfter(RunChunk(*model_, sequence.get(), From(6)), ids_.size() - 1);
}

TEST_P(TinyModel, AStepInTwoHalvesIsAStep) {
  const auto sequence = New();
  std::vector<float> scores;
  const std::vector<RowRequest> requests = {{.row = 4, .scores = &scores}};
  const StepEntry entry = {.sequence = sequence.get(), .tokens = First(5), .requests = requests};
  ASSERT_TRUE(model_->Submit({&entry, 1}).ok());
  ASSERT_TRUE(model_->Complete().ok());
  EXPECT_EQ(sequence->length(), 5);
  ExpectScoresAfter(scores, 4);
}

TEST_P(TinyModel, FeaturesInTheTokensPlacesAreAsTheirEmbeddings) {
  const std::vector<TokenId> hidden_tokens(ids_.begin() + 2, ids_.begin() + 6);
  const Features features = EmbeddingsOf(GetParam(), hidden_tokens, model_->hidden());
  std::vector<TokenId> tokens = ids_;
  for (int i = 2; i < 6; ++i) tokens[i] = -1;  // nobody looks at them
  const auto at_once = New();
  const std::vector<FeatureRows> whole = {{.row = 2, .features = &features, .begin = 0, .count = 4}};
  std::vector<float> scores;
  ASSERT_TRUE(RunStep(*model_, {{at_once.get(), tokens, &scores, {}, whole}}).ok());
  ExpectScoresAfter(scores, ids_.size() - 1);
  // A prefill may be cut anywhere among them.
  const auto cut = New();
  const auto all = absl::MakeConstSpan(tokens);
  const std::vector<FeatureRows> first = {{.row = 2, .features = &features, .begin = 0, .count = 1}};
  const std::vector<FeatureRows> rest = {{.row = 0, .features = &features, .begin = 1, .count = 3}};
  ASSERT_TRUE(RunStep(*model_, {{cut.get(), all.first(3), nullptr, {}, first}}).ok());
  ASSERT_TRUE(RunStep(*model_, {{cut.get(), all.subspan(3), &scores, {}, rest}}).ok());
  ExpectScoresAfter(scores, ids_.size() - 1);
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
    std::vector<Chunk> entries = {{good.get(), fine, nullptr}, {bad.get(), wrong, nullptr}};
    const absl::Status status = RunStep(*model, entries);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("token"));
    EXPECT_EQ(good->length(), 0);
    EXPECT_EQ(bad->length(), 0);
  }
}

TEST(LanguageModelContract, AStepThatMakesNoSenseIsRefusedByNameAndChangesNothing) {
  const auto model = LoadTiny("tiny_llama");
  const auto sequence = *model->NewSequence();
  const std::vector<TokenId> tokens = {1, 2, 3};
  auto values = std::make_shared<std::vector<float>>(4 * model->hidden());
  const Features good = {{values, values->data()}, 4, model->hidden(), {}};
  Features narrow = good;
  narrow.hidden -= 1;
  Features far = good;
  far.device = {Device::Kind::kCuda, 0};
  std::vector<float> scores;
  const auto refused = [&](const StepEntry& step) {
    const absl::Status status = model->Step({&step, 1});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(sequence->length(), 0);
    return std::string(status.message());
  };
  const auto with_features = [&](std::vector<FeatureRows> features) {
    return refused({.sequence = sequence.get(), .tokens = tokens, .features = features});
  };
  const auto with_requests = [&](std::vector<RowRequest> requests) {
    return refused({.sequence = sequence.get(), .tokens = tokens, .requests = requests});
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused({.sequence = sequence.get()}), HasSubstr("without tokens"));
  EXPECT_THAT(with_features({{0, &narrow, 0, 1}}), HasSubstr("width"));
  EXPECT_THAT(with_features({{0, &far, 0, 1}}), HasSubstr("device"));
  EXPECT_THAT(with_features({{2, &good, 0, 2}}), HasSubstr("row 2 of 3"));
  EXPECT_THAT(with_features({{0, &good, 3, 2}}), HasSubstr("of 4"));
  EXPECT_THAT(with_features({{0, &good, 0, 2}, {1, &good, 2, 1}}), HasSubstr("row 1"));
  EXPECT_THAT(with_requests({{.row = 3, .scores = &scores}}), HasSubstr("row 3"));
  EXPECT_THAT(with_requests({{.row = 1, .scores = &scores}, {.row = 1, .scores = &scores}}),
              HasSubstr("row 1"));
  const std::vector<TokenId> unknown = {64};
  EXPECT_THAT(with_requests({{.row = 0, .named = unknown, .named_scores = &scores}}), HasSubstr("token 64"));
}

TEST(LanguageModelContract, ASequenceNeverPassesTheContext) {
  const auto model = LoadTiny("tiny_llama");
  const auto sequence = *model->NewSequence();
  const std::vector<TokenId> all(128, 1);
  RunChunk(*model, sequence.get(), all);
  Chunk one_more{sequence.get(), absl::MakeConstSpan(all).first(1), nullptr};
  EXPECT_EQ(RunStep(*model, {one_more}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sequence->length(), 128);
}

}  // namespace parley::engine

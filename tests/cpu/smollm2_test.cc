// SmolLM2 as published, against transformers in fp32 (tests/reference/smollm2.py), and the other arithmetics
// against fp32.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/bundle/language_model_files.h"
#include "engine/cpu/llama.h"
#include "engine/kernels/cpu_features.h"
#include "tests/model/steps.h"
#include "tests/reference/json_file.h"

namespace parley::engine {
namespace {

using kernels::KvFormat;

std::shared_ptr<const bundle::LanguageModelFiles> Files() {
  static const auto files = [] {
    const char* folder = std::getenv("PARLEY_MODEL_DIR");
    auto opened = bundle::LanguageModelFiles::Open(
        {"gguf", std::string(folder == nullptr ? "" : folder) + "/language_model/model.gguf"});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? std::make_shared<const bundle::LanguageModelFiles>(*std::move(opened)) : nullptr;
  }();
  return files;
}

// Loaded once an arithmetic: the tests of this file share them.
LanguageModel* Model(Arithmetic arithmetic, std::optional<KvFormat> kv_format = std::nullopt) {
  static std::unique_ptr<LanguageModel> models[4][2];
  std::unique_ptr<LanguageModel>& model = models[static_cast<int>(arithmetic)][kv_format.has_value() ? 1 : 0];
  if (model != nullptr || Files() == nullptr) return model.get();
  const KvFormat as_precise = arithmetic == Arithmetic::kFp32 ? KvFormat::kFp32 : KvFormat::kFp16;
  auto loaded = cpu::Llama::Load(
      Files(), {.threads = 2, .arithmetic = arithmetic, .kv_format = kv_format.value_or(as_precise)});
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  if (loaded.ok()) model = *std::move(loaded);
  return model.get();
}

std::vector<TokenId> Ids(const nlohmann::json& array) { return array.get<std::vector<TokenId>>(); }

class SmolLm2Test : public testing::Test {
 protected:
  void SetUp() override {
    model_ = Model(Arithmetic::kFp32);
    ASSERT_NE(model_, nullptr);
  }

  // "ids" or "greedy" of every prompt.
  std::vector<std::vector<TokenId>> OfEachPrompt(const char* key) const {
    std::vector<std::vector<TokenId>> all;
    for (const auto& prompt : reference_["prompts"]) all.push_back(Ids(prompt[key]));
    return all;
  }

  const nlohmann::json reference_ = ReadJson("reference/smollm2.json");
  LanguageModel* model_ = nullptr;
};

TEST_F(SmolLm2Test, LogitsAreTheReferencesToATenthOfAThousandth) {
  double worst = 0;
  for (const auto& prompt : reference_["prompts"]) {
    std::vector<TokenId> ids = Ids(prompt["ids"]);
    const std::vector<TokenId> greedy = Ids(prompt["greedy"]);
    ids.insert(ids.end(), greedy.begin(), greedy.end());
    const auto cache = *model_->NewSequence();
    for (const auto& expected : prompt["positions"]) {
      const size_t held = static_cast<size_t>(cache->length());
      const size_t end = expected["position"].get<size_t>() + 1;
      const std::vector<float> logits =
          RunChunk(*model_, cache.get(), absl::MakeConstSpan(ids).subspan(held, end - held));
      for (size_t i = 0; i < expected["at"].size(); ++i) {
        const double difference =
            std::abs(logits[expected["at"][i].get<size_t>()] - expected["logits"][i].get<float>());
        worst = std::max(worst, difference);
        EXPECT_LE(difference, 1e-3) << prompt["text"] << " position " << end - 1 << " token "
                                    << expected["at"][i];
      }
      double sum = 0;
      for (float logit : logits) sum += std::exp(static_cast<double>(logit));
      EXPECT_NEAR(std::log(sum), expected["log_sum_exp"].get<double>(), 1e-3);
    }
  }
  std::printf("largest difference of a logit: %.2g\n", worst);
}

TEST_F(SmolLm2Test, SixtyFourGreedyTokensAreTheReferencesOnTenPrompts) {
  const auto prompts = OfEachPrompt("ids");
  ASSERT_EQ(prompts.size(), 10u);
  const auto sequences = NewSequences(*model_, prompts.size());
  EXPECT_EQ(Greedy(*model_, sequences, RunChunks(*model_, sequences, prompts), 64), OfEachPrompt("greedy"));
}

TEST_F(SmolLm2Test, APrefillInPiecesGivesTheTokensOfOnePrefill) {
  constexpr int kTokens = 32;
  const auto prompts = OfEachPrompt("ids");
  auto expected = OfEachPrompt("greedy");
  for (auto& tokens : expected) tokens.resize(kTokens);
  for (size_t piece : {size_t{1}, size_t{7}}) {
    const auto sequences = NewSequences(*model_, prompts.size());
    std::vector<std::vector<float>> logits(prompts.size());
    size_t longest = 0;
    for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
    for (size_t at = 0; at < longest; at += piece) {
      std::vector<std::vector<TokenId>> pieces;
      for (const auto& prompt : prompts) {
        const auto rest = absl::MakeConstSpan(prompt).subspan(std::min(at, prompt.size()), piece);
        pieces.emplace_back(rest.begin(), rest.end());
      }
      auto scores = RunChunks(*model_, sequences, pieces);
      for (size_t i = 0; i < prompts.size(); ++i) {
        if (!scores[i].empty()) logits[i] = std::move(scores[i]);
      }
    }
    EXPECT_EQ(Greedy(*model_, sequences, std::move(logits), kTokens), expected) << piece;
  }
}

// A camera that shows one thing after the other.
TEST_F(SmolLm2Test, ForgottenFramesLeaveTheScoresOfFp32) {
  const std::vector<TokenId> prompt = Ids(reference_["prompts"][0]["ids"]);
  const std::vector<TokenId> question = Ids(reference_["prompts"][1]["ids"]);
  const auto watch = [&](Arithmetic arithmetic) {
    LanguageModel* model = Model(arithmetic);
    const auto cache = *model->NewSequence();
    RunChunk(*model, cache.get(), prompt);
    std::vector<std::vector<float>> scores;
    std::vector<int> begins;
    for (int i = 0; i < 12; ++i) {
      const std::vector<TokenId> frame = Ids(reference_["prompts"][i % 10]["ids"]);
      begins.push_back(cache->length());
      std::vector<float> logits;
      const std::vector<int> starts = {0};
      Chunk entry{cache.get(), absl::MakeConstSpan(frame).last(9 + i), &logits, starts};
      EXPECT_TRUE(RunStep(*model, {entry}).ok());
      scores.push_back(logits);
      if (i >= 3) cache->Forget(begins[i - 3], begins[i - 2]);
    }
    std::vector<float> logits;
    const std::vector<int> starts = {0};
    Chunk entry{cache.get(), question, &logits, starts};
    EXPECT_TRUE(RunStep(*model, {entry}).ok());
    scores.push_back(logits);
    return scores;
  };
  const auto expected = watch(Arithmetic::kFp32);
  const auto actual = watch(Arithmetic::kInt16);
  for (size_t row = 0; row < expected.size(); ++row) {
    EXPECT_EQ(Best(actual[row]), Best(expected[row])) << row;
    for (size_t i = 0; i < expected[row].size(); ++i) {
      ASSERT_NEAR(actual[row][i], expected[row][i], 0.05) << row;
    }
  }
}

// Ten conversations in one step each, in the default arithmetic of this machine and in fp32: what one says
// does not depend on the others.
TEST_F(SmolLm2Test, TokensDoNotDependOnTheOtherSequencesOfTheStep) {
  constexpr int kTokens = 24;
  const auto prompts = OfEachPrompt("ids");
  const std::pair<Arithmetic, std::optional<KvFormat>> all[] = {{Arithmetic::kFp32, std::nullopt},
                                                                {Arithmetic::kBf16, std::nullopt},
                                                                {Arithmetic::kInt8, std::nullopt},
                                                                {Arithmetic::kInt16, std::nullopt},
                                                                {Arithmetic::kInt16, KvFormat::kInt8}};
  for (const auto& [arithmetic, kv_format] : all) {
    LanguageModel& model = *Model(arithmetic, kv_format);
    std::vector<std::vector<TokenId>> alone;
    for (const auto& prompt : prompts) {
      const auto one = NewSequences(model, 1);
      alone.push_back(Greedy(model, one, {RunChunk(model, one[0].get(), prompt)}, kTokens)[0]);
    }
    const auto together = NewSequences(model, prompts.size());
    EXPECT_EQ(Greedy(model, together, RunChunks(model, together, prompts), kTokens), alone)
        << ArithmeticName(arithmetic) << (kv_format.has_value() ? ", KV in int8" : "");
  }
}

struct Agreement {
  int tokens = 0;
  int agreeing = 0;
  double kl_nats = 0;  // mean of KL(fp32 || other)
};

Agreement Compare(const std::vector<float>& exact, const std::vector<float>& other, Agreement total) {
  const auto log_sum = [](const std::vector<float>& logits) {
    const double top = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (float logit : logits) sum += std::exp(logit - top);
    return top + std::log(sum);
  };
  const double exact_sum = log_sum(exact);
  const double other_sum = log_sum(other);
  double kl = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double log_p = exact[i] - exact_sum;
    kl += std::exp(log_p) * (log_p - (other[i] - other_sum));
  }
  total.tokens += 1;
  total.agreeing += Best(exact) == Best(other) ? 1 : 0;
  total.kl_nats += kl;
  return total;
}

// Teacher-forced on the reference's 64 tokens of each prompt, all prompts in one step.
TEST_F(SmolLm2Test, TheFasterArithmeticsAgreeWithFp32) {
  struct Faster {
    const char* name;
    LanguageModel* model;
    std::vector<std::unique_ptr<Sequence>> sequences;
    Agreement total;
  };
  std::vector<Faster> faster;
  faster.push_back({"bf16", Model(Arithmetic::kBf16)});
  faster.push_back({"int8", Model(Arithmetic::kInt8)});
  faster.push_back({"int16", Model(Arithmetic::kInt16)});
  faster.push_back({"int16, KV in int8", Model(Arithmetic::kInt16, KvFormat::kInt8)});
  auto chunks = OfEachPrompt("ids");
  const auto greedy = OfEachPrompt("greedy");
  const auto exact_sequences = NewSequences(*model_, chunks.size());
  for (Faster& one : faster) one.sequences = NewSequences(*one.model, chunks.size());
  for (size_t token = 0; token < 64; ++token) {
    const auto exact = RunChunks(*model_, exact_sequences, chunks);
    for (Faster& one : faster) {
      const auto other = RunChunks(*one.model, one.sequences, chunks);
      for (size_t p = 0; p < chunks.size(); ++p) one.total = Compare(exact[p], other[p], one.total);
    }
    for (size_t p = 0; p < chunks.size(); ++p) chunks[p] = {greedy[p].at(token)};
  }
  for (const Faster& one : faster) {
    const Agreement& total = one.total;
    std::printf("%s: %d of %d greedy tokens agree, mean KL %.5f nats\n", one.name, total.agreeing,
                total.tokens, total.kl_nats / total.tokens);
    EXPECT_EQ(total.tokens, 640);
    EXPECT_GE(total.agreeing, 0.95 * total.tokens) << one.name;
    EXPECT_LE(total.kl_nats / total.tokens, 0.005) << one.name;
  }
}

// What a server takes by itself where there are kernels for it (engine/assembly/arithmetic.h).
TEST_F(SmolLm2Test, Int16WritesWhatTheReferenceWrites) {
  LanguageModel& model = *Model(Arithmetic::kInt16);
  const auto prompts = OfEachPrompt("ids");
  const auto sequences = NewSequences(model, prompts.size());
  EXPECT_EQ(Greedy(model, sequences, RunChunks(model, sequences, prompts), 64), OfEachPrompt("greedy"));
}

}  // namespace
}  // namespace parley::engine

#include "engine/cpu/llama.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "tests/cpu/random_checkpoint.h"
#include "tests/model/language_model_contract.h"

namespace parley::engine {

std::unique_ptr<LanguageModel> LoadForTest(std::shared_ptr<const bundle::LanguageModelFiles> files) {
  auto model = cpu::Llama::Load(std::move(files), {.threads = 2,
                                                   .arithmetic = Arithmetic::kFp32,
                                                   .kv_bytes = 1 << 20,
                                                   .kv_format = kernels::KvFormat::kFp32});
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return nullptr;
  return *std::move(model);
}

namespace cpu {
namespace {

using testing::HasSubstr;

std::shared_ptr<const bundle::LanguageModelFiles> Files(const RandomCheckpoint& checkpoint,
                                                        const std::string& name) {
  const std::string folder = testing::TempDir() + "/" + name;
  checkpoint.Write(folder);
  auto files = bundle::LanguageModelFiles::OpenFolder(folder);
  EXPECT_TRUE(files.ok()) << files.status();
  return std::make_shared<const bundle::LanguageModelFiles>(*std::move(files));
}

std::unique_ptr<Llama> Load(const LlamaOptions& options) {
  auto llama = Llama::Load(Files(RandomCheckpoint(), "cpu_llama"), options);
  EXPECT_TRUE(llama.ok()) << llama.status();
  return *std::move(llama);
}

std::vector<TokenId> Tokens(int count, int seed) {
  std::vector<TokenId> tokens(count);
  for (int i = 0; i < count; ++i) tokens[i] = (i * 7 + seed * 13 + i * i) % 80;
  return tokens;
}

std::vector<float> RunTokens(Llama& llama, PagedSequence& sequence, const std::vector<TokenId>& tokens) {
  std::vector<float> logits;
  Chunk entry = {&sequence, tokens, &logits};
  const absl::Status status = RunStep(llama, {entry});
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

class CpuLlamaBits : public testing::TestWithParam<Arithmetic> {};
INSTANTIATE_TEST_SUITE_P(Arithmetics, CpuLlamaBits,
                         testing::Values(Arithmetic::kFp32, Arithmetic::kBf16, Arithmetic::kInt8,
                                         Arithmetic::kInt16),
                         [](const auto& test) { return std::string(ArithmeticName(test.param)); });

TEST_P(CpuLlamaBits, AreTheSameForPrefillInPiecesAndAtOnce) {
  const auto llama = Load({.threads = 2, .arithmetic = GetParam()});
  const std::vector<TokenId> tokens = Tokens(75, 1);
  const auto at_once = llama->NewPagedSequence();
  const std::vector<float> expected = RunTokens(*llama, *at_once, tokens);
  for (const std::vector<int>& pieces : {std::vector<int>{1, 74}, {16, 16, 43}, {37, 1, 1, 36}}) {
    const auto sequence = llama->NewPagedSequence();
    auto begin = tokens.begin();
    std::vector<float> logits;
    for (int piece : pieces) {
      logits = RunTokens(*llama, *sequence, {begin, begin + piece});
      begin += piece;
    }
    EXPECT_EQ(logits, expected);
  }
}

TEST_P(CpuLlamaBits, OfARowAreTheSameWhateverSharesItsStepAndHoweverManyThreads) {
  const auto one_thread = Load({.threads = 1, .arithmetic = GetParam()});
  const auto three_threads = Load({.threads = 3, .arithmetic = GetParam()});
  std::vector<std::vector<float>> alone;
  for (int i = 0; i < 6; ++i) {
    const auto sequence = one_thread->NewPagedSequence();
    RunTokens(*one_thread, *sequence, Tokens(10 + 9 * i, i));
    alone.push_back(RunTokens(*one_thread, *sequence, {5}));
  }
  std::vector<std::unique_ptr<PagedSequence>> sequences;
  for (int i = 0; i < 6; ++i) {
    sequences.push_back(three_threads->NewPagedSequence());
    RunTokens(*three_threads, *sequences[i], Tokens(10 + 9 * i, i));
  }
  // Five decode while another is in the middle of its prefill.
  const std::vector<TokenId> next = {5};
  const std::vector<TokenId> chunk = Tokens(40, 9);
  const auto prefilling = three_threads->NewPagedSequence();
  std::vector<std::vector<float>> together(6);
  std::vector<Chunk> entries;
  for (int i = 0; i < 6; ++i) entries.push_back({sequences[i].get(), next, &together[i]});
  entries.insert(entries.begin() + 2, {prefilling.get(), chunk, nullptr});
  ASSERT_TRUE(RunStep(*three_threads, entries).ok());
  EXPECT_EQ(together, alone);
  EXPECT_EQ(prefilling->length(), 40);
}

// Whole models from GGUF files: Qwen2 with its biases, and Llama in blocks of 256 (which are quantised anew,
// to 8 bits in groups of 32) with its rotary rows in GGUF's order. The reference is
// tests/reference/tiny_gguf.py.
TEST(CpuLlama, LogitsOfGgufFilesAreTheReferences) {
  // Of logits whose deviation is about 1.
  for (const auto& [name, arithmetic, tolerance] : {std::tuple("qwen2_q8_0", Arithmetic::kFp32, 1e-4),
                                                    {"qwen2_q8_0", Arithmetic::kBf16, 0.2},
                                                    {"qwen2_q8_0", Arithmetic::kInt16, 5e-3},
                                                    {"qwen2_q8_0", Arithmetic::kInt8, 0.2},
                                                    {"llama_k", Arithmetic::kFp32, 1e-4},
                                                    {"llama_k", Arithmetic::kBf16, 0.2},
                                                    {"llama_k", Arithmetic::kInt16, 0.05},
                                                    {"llama_k", Arithmetic::kInt8, 0.2}}) {
    const auto kv_format =
        arithmetic == Arithmetic::kFp32 ? kernels::KvFormat::kFp32 : kernels::KvFormat::kFp16;
    const std::string base = PARLEY_SOURCE_DIR "/tests/reference/tiny_gguf/" + std::string(name);
    auto files = bundle::LanguageModelFiles::Open({.kind = "gguf", .path = base + ".gguf"});
    ASSERT_TRUE(files.ok()) << files.status();
    const auto llama = Llama::Load(std::make_shared<const bundle::LanguageModelFiles>(*std::move(files)),
                                   {.threads = 2, .arithmetic = arithmetic, .kv_format = kv_format});
    ASSERT_TRUE(llama.ok()) << llama.status();
    std::ifstream file(base + ".json");
    const nlohmann::json expected = nlohmann::json::parse(file);
    const auto sequence = (*llama)->NewPagedSequence();
    for (size_t i = 0; i < expected["ids"].size(); ++i) {
      const std::vector<float> logits = RunTokens(**llama, *sequence, {expected["ids"][i].get<TokenId>()});
      const auto row = expected["logits"][i].get<std::vector<float>>();
      ASSERT_EQ(logits.size(), row.size());
      float worst = 0;
      for (size_t j = 0; j < row.size(); ++j) worst = std::max(worst, std::abs(logits[j] - row[j]));
      EXPECT_LT(worst, tolerance) << name << ", " << ArithmeticName(arithmetic) << ", position " << i;
    }
  }
}

TEST(CpuLlama, ForgetsWhatIsTruncated) {
  const auto llama = Load({.threads = 1});
  const auto sequence = llama->NewPagedSequence();
  RunTokens(*llama, *sequence, Tokens(33, 1));
  const std::vector<float> expected = RunTokens(*llama, *sequence, {7});
  RunTokens(*llama, *sequence, Tokens(50, 2));
  const int64_t bytes = sequence->bytes();
  sequence->Truncate(33);
  EXPECT_LT(sequence->bytes(), bytes);
  EXPECT_EQ(RunTokens(*llama, *sequence, {7}), expected);
}

// Tokens of a call with frames: those from 20 and from 43 on are a frame each, of 9 and 20 tokens.
const std::vector<int> kFrameEdges = {20, 29, 43, 63};

std::vector<int> StartsWithin(int begin, int end) {
  std::vector<int> starts;
  for (const int edge : kFrameEdges) {
    if (edge >= begin && edge < end) starts.push_back(edge - begin);
  }
  return starts;
}

// Tokens [begin, end) of `tokens`, by position.
std::vector<float> RunRange(Llama& llama, Sequence& sequence, const std::vector<TokenId>& tokens, int begin,
                            int end) {
  std::vector<float> logits;
  const std::vector<int> starts = StartsWithin(begin, end);
  Chunk entry = {&sequence, absl::MakeConstSpan(tokens).subspan(begin, end - begin), &logits, starts};
  const absl::Status status = RunStep(llama, {entry});
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

TEST_P(CpuLlamaBits, AreTheSameInPiecesWhereFramesHavePagesOfTheirOwn) {
  const auto llama = Load({.threads = 2, .arithmetic = GetParam()});
  const std::vector<TokenId> tokens = Tokens(90, 1);
  const auto at_once = llama->NewPagedSequence();
  const std::vector<float> expected = RunRange(*llama, *at_once, tokens, 0, 90);
  EXPECT_EQ(at_once->pages(), 2 + 1 + 1 + 2 + 2);
  for (const std::vector<int>& cuts :
       {std::vector<int>{0, 1, 90}, {0, 20, 43, 90}, {0, 25, 45, 46, 89, 90}}) {
    const auto sequence = llama->NewPagedSequence();
    std::vector<float> logits;
    for (size_t i = 1; i < cuts.size(); ++i) {
      logits = RunRange(*llama, *sequence, tokens, cuts[i - 1], cuts[i]);
    }
    EXPECT_EQ(logits, expected);
    // Rewound into a frame and gone on with.
    sequence->Truncate(50);
    EXPECT_EQ(RunRange(*llama, *sequence, tokens, 50, 90), expected);
  }
  // Where pages begin is a matter of the last bits only.
  const std::vector<float> full_pages = RunTokens(*llama, *llama->NewPagedSequence(), tokens);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(expected[i], full_pages[i], 1e-3);
}

TEST_P(CpuLlamaBits, AreTheSameForAForkAsForASequenceOfItsOwn) {
  const auto llama = Load({.threads = 1, .arithmetic = GetParam()});
  const std::vector<TokenId> prompt = Tokens(37, 1);
  const auto shared = llama->NewPagedSequence();
  RunTokens(*llama, *shared, prompt);
  const std::unique_ptr<Sequence> fork = shared->Fork();
  EXPECT_EQ(llama->pages().in_use, 3);
  EXPECT_EQ(llama->pages().shared, 3);
  const auto alone = [&](int seed) {
    const auto sequence = llama->NewPagedSequence();
    RunTokens(*llama, *sequence, prompt);
    return RunTokens(*llama, *sequence, Tokens(20, seed));
  };
  const std::vector<float> one = alone(5);
  const std::vector<float> two = alone(6);
  // Both go on with the page that they share.
  EXPECT_EQ(RunTokens(*llama, static_cast<PagedSequence&>(*fork), Tokens(20, 5)), one);
  EXPECT_EQ(RunTokens(*llama, *shared, Tokens(20, 6)), two);
  EXPECT_EQ(llama->pages().shared, 2);
}

TEST(CpuLlama, ForgottenTokensAreNotSeenAndLaterOnesKeepTheirPlaces) {
  const auto llama = Load({.threads = 1});
  std::vector<TokenId> tokens = Tokens(90, 1);
  const auto sequence = llama->NewPagedSequence();
  RunRange(*llama, *sequence, tokens, 0, 43);
  const int64_t pages = sequence->pages();
  sequence->Forget(20, 29);
  EXPECT_EQ(sequence->pages(), pages - 1);
  EXPECT_EQ(sequence->length(), 43);
  const std::vector<float> forgotten = RunRange(*llama, *sequence, tokens, 43, 63);

  // The same whenever it was forgotten, so long as nothing was appended in between.
  const auto whole = llama->NewPagedSequence();
  const std::vector<float> remembered = RunRange(*llama, *whole, tokens, 0, 63);
  EXPECT_NE(forgotten, remembered);
  whole->Truncate(43);
  whole->Forget(20, 29);
  EXPECT_EQ(RunRange(*llama, *whole, tokens, 43, 63), forgotten);
  // A rewind goes by position, past the gap and to its edge.
  whole->Truncate(43);
  EXPECT_EQ(RunRange(*llama, *whole, tokens, 43, 63), forgotten);
  whole->Truncate(20);
  RunRange(*llama, *whole, tokens, 20, 43);
  EXPECT_EQ(RunRange(*llama, *whole, tokens, 43, 63), remembered);
}

TEST(CpuLlama, ReservedPagesAreThereForTheStep) {
  const auto llama = Load({.threads = 1, .kv_bytes = 4 * 4 * 1024});
  const auto sequence = llama->NewPagedSequence();
  ASSERT_TRUE(sequence->Reserve(33, {}).ok());
  const auto other = llama->NewPagedSequence();
  EXPECT_EQ(other->Reserve(17, {}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(other->Reserve(16, {}, 0).code(), absl::StatusCode::kResourceExhausted);
  RunTokens(*llama, *sequence, Tokens(33, 1));
  EXPECT_EQ(llama->pages().in_use, 3);
}

TEST(CpuLlama, SaysWhenThePagesAreOutAndGoesOnWhenSomeAreGivenBack) {
  // 2 layers x 2 heads x 2 KiB of half precision a page: room for four pages.
  const auto llama = Load({.threads = 1, .kv_bytes = 4 * 4 * 1024});
  const auto sequence = llama->NewPagedSequence();
  RunTokens(*llama, *sequence, Tokens(60, 1));
  auto other = llama->NewPagedSequence();
  const std::vector<TokenId> tokens = Tokens(20, 2);
  Chunk entry = {other.get(), tokens, nullptr};
  EXPECT_EQ(RunStep(*llama, {entry}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(other->length(), 0);
  sequence->Truncate(30);
  EXPECT_TRUE(RunStep(*llama, {entry}).ok());
  EXPECT_EQ(other->length(), 20);
}

TEST(CpuLlama, RefusesTokensAndLengthsThatDoNotExist) {
  const auto llama = Load({.threads = 1});
  const auto sequence = llama->NewPagedSequence();
  for (const std::vector<TokenId>& tokens : {std::vector<TokenId>{80}, {-1}, Tokens(257, 1)}) {
    Chunk entry = {sequence.get(), tokens, nullptr};
    EXPECT_EQ(RunStep(*llama, {entry}).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(sequence->length(), 0);
  }
}

TEST(CpuLlama, NamesTheHeadsThatTheKernelsDoNotTake) {
  const auto files = Files({.hidden = 1040, .ffn = 32, .heads = 2, .kv_heads = 1}, "cpu_llama_wide");
  const absl::Status status = Llama::Load(files, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("heads of 520"));
}

// Of widths that the kernels take only padded: 28 to a head, 112, 90.
TEST_P(CpuLlamaBits, OfAPaddedModelAreTheSameForPrefillInPiecesAndAtOnce) {
  const auto files = Files({.hidden = 112, .ffn = 90}, "cpu_llama_padded");
  auto llama = Llama::Load(files, {.threads = 2, .arithmetic = GetParam()});
  ASSERT_TRUE(llama.ok()) << llama.status();
  const std::vector<TokenId> tokens = Tokens(75, 1);
  const std::vector<float> expected = RunTokens(**llama, *(*llama)->NewPagedSequence(), tokens);
  const auto sequence = (*llama)->NewPagedSequence();
  RunTokens(**llama, *sequence, {tokens.begin(), tokens.begin() + 37});
  EXPECT_EQ(RunTokens(**llama, *sequence, {tokens.begin() + 37, tokens.end()}), expected);
}

}  // namespace
}  // namespace cpu
}  // namespace parley::engine

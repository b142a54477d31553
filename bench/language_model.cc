#include "bench/language_model.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/assembly/arithmetic.h"
#include "engine/assembly/kinds.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/text/prompt_layout.h"
#include "engine/torch/llama.h"

namespace parley::bench {
namespace {

using engine::Arithmetic;
using engine::TokenId;
using engine::bundle::LanguageModelFiles;
using engine::bundle::LanguageModelShape;
using engine::bundle::Weight;

constexpr int kCheckedTokens = 32;
constexpr float kSureLead = 1.0f;
constexpr double kAgreement = 0.90;
constexpr double kRequantisedAgreement = 0.60;

constexpr const char* kPrompts[] = {
    "What is the capital of France?",
    "The image shows an Egyptian cat. What animal do you see?",
    "Explain in two sentences why the sky is blue.",
    "Write a Python function that reverses a string.",
};

// The number of a weight's values, and the bytes they take in the file.
struct Size {
  double values = 0;
  double bytes = 0;
};

Size SizeOf(const LanguageModelFiles& files, Weight weight, int layer = 0) {
  const engine::bundle::TensorView view = files.Find(weight, layer);
  return {static_cast<double>(view.values()), static_cast<double>(view.bytes.size())};
}

Size LayersSize(const LanguageModelFiles& files) {
  Size size;
  for (int layer = 0; layer < files.shape().layers; ++layer) {
    for (Weight weight : {Weight::kQuery, Weight::kKey, Weight::kValue, Weight::kAttentionOut, Weight::kGate,
                          Weight::kUp, Weight::kDown}) {
      const Size one = SizeOf(files, weight, layer);
      size.values += one.values;
      size.bytes += one.bytes;
    }
  }
  return size;
}

// What fp32 writes, and by how much each token's score leads the next best.
struct ExactText {
  std::vector<TokenId> tokens;
  std::vector<float> leads;
};

absl::StatusOr<ExactText> Write(engine::LanguageModel& model, absl::Span<const TokenId> prompt, int count) {
  absl::StatusOr<std::unique_ptr<engine::Sequence>> sequence = model.NewSequence();
  if (!sequence.ok()) return sequence.status();
  ExactText text;
  std::vector<float> logits;
  engine::RowRequest request = {.row = static_cast<int>(prompt.size()) - 1, .scores = &logits};
  engine::StepEntry entry = {.sequence = sequence->get(), .tokens = prompt, .requests = {&request, 1}};
  for (int i = 0; i < count; ++i) {
    if (absl::Status status = model.Step({&entry, 1}); !status.ok()) return status;
    const auto best = std::max_element(logits.begin(), logits.end());
    const float score = *best;
    text.tokens.push_back(static_cast<TokenId>(best - logits.begin()));
    *best = -std::numeric_limits<float>::infinity();
    text.leads.push_back(score - *std::max_element(logits.begin(), logits.end()));
    entry.tokens = absl::MakeConstSpan(&text.tokens.back(), 1);
    request.row = 0;
  }
  return text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LanguageModelSides>> LanguageModelSides::Load(const SuiteOptions& options) {
  std::unique_ptr<LanguageModelSides> sides(new LanguageModelSides(options));
  at::set_num_threads(options.threads);
  sides->machine_ = MeasureMachine(options.threads);
  sides->gguf_ = options.model_dir + "/language_model/model.gguf";
  absl::StatusOr<LanguageModelFiles> opened = LanguageModelFiles::Open({"gguf", sides->gguf_});
  if (!opened.ok()) return opened.status();
  sides->files_ = std::make_shared<const LanguageModelFiles>(*std::move(opened));
  if (absl::Status status = sides->LoadOurs("", "auto"); !status.ok()) return status;
  if (sides->ours_.front().arithmetic == Arithmetic::kInt16) {
    if (absl::Status status = sides->LoadOurs("_int8", "int8"); !status.ok()) return status;
  }
  if (absl::Status status = sides->LoadPeers(); !status.ok()) return status;
  return sides;
}

absl::Status LanguageModelSides::LoadOurs(const std::string& suffix, const std::string& arithmetic) {
  const absl::StatusOr<engine::assembly::ArithmeticChoice> choice =
      engine::assembly::ChooseArithmetic(arithmetic);
  if (!choice.ok()) return choice.status();
  const engine::assembly::Kinds kinds = engine::assembly::CpuKinds();
  absl::StatusOr<std::unique_ptr<engine::LanguageModel>> model =
      engine::assembly::FindKind(kinds.language_models, files_->shape().architecture, "cpu")
          ->load(files_, {.threads = options_.threads, .arithmetic = choice->language_model});
  if (!model.ok()) return model.status();
  Ours& ours =
      ours_.emplace_back(Ours{suffix, choice->language_model, choice->description, *std::move(model)});
  ours.greedy = MakeGreedy(ours.model.get());
  return absl::OkStatus();
}

absl::Status LanguageModelSides::LoadPeers() {
  const absl::StatusOr<std::string> q4_0 = RequantisedFile(options_, gguf_, LlamaFileType::kQ4_0);
  if (!q4_0.ok()) return q4_0.status();
  const absl::StatusOr<std::string> q8_0 = RequantisedFile(options_, gguf_, LlamaFileType::kQ8_0);
  if (!q8_0.ok()) return q8_0.status();
  const struct {
    const char* name;
    const std::string& path;
    LlamaAttention attention;
  } kinds[] = {
      {"Q4_1", gguf_, LlamaAttention::kDefault},
      {"Q4_0", *q4_0, LlamaAttention::kDefault},
      {"Q8_0", *q8_0, LlamaAttention::kDefault},
      {"Q4_0 without flash attention", *q4_0, LlamaAttention::kPlain},
  };
  for (const auto& kind : kinds) {
    absl::StatusOr<std::unique_ptr<LlamaCpp>> model =
        LlamaCpp::Load(options_.peers_dir + "/llama.cpp", kind.path, options_.threads, kind.attention);
    if (!model.ok()) return model.status();
    peers_.push_back({kind.name, *std::move(model)});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<TokenId>>> LanguageModelSides::Prompts() const {
  absl::StatusOr<engine::bundle::TokenizerFiles> read = engine::bundle::ReadTokenizer(*files_);
  if (!read.ok()) return read.status();
  const auto tokenizer = engine::text::Tokenizer::Create(std::move(read->tokenizer));
  if (!tokenizer.ok()) return tokenizer.status();
  const auto layout =
      engine::text::PromptLayout::Create({.chat_template = read->chat_template}, tokenizer->get());
  if (!layout.ok()) return layout.status();
  std::vector<std::vector<TokenId>> prompts;
  for (const char* words : kPrompts) {
    std::vector<TokenId>& ids = prompts.emplace_back(layout->System(""));
    for (const std::vector<TokenId>& more :
         {layout->UserOpen(true), layout->UserPart(words, true), layout->AnswerOpen()}) {
      ids.insert(ids.end(), more.begin(), more.end());
    }
  }
  return prompts;
}

absl::Status LanguageModelSides::CheckTheySayTheSame() {
  const auto prompts = Prompts();
  if (!prompts.ok()) return prompts.status();
  const absl::StatusOr<std::unique_ptr<engine::libtorch::Llama>> exact =
      engine::libtorch::Llama::Load(files_, {.arithmetic = Arithmetic::kFp32});
  if (!exact.ok()) return exact.status();
  std::vector<ExactText> texts;
  for (const std::vector<TokenId>& prompt : *prompts) {
    absl::StatusOr<ExactText> text = Write(**exact, prompt, kCheckedTokens);
    if (!text.ok()) return text.status();
    texts.push_back(*std::move(text));
  }
  const auto check = [&](const std::string& name, GreedyModel& model, bool same_weights, double* agreement) {
    int agreeing = 0;
    int surely_wrong = 0;
    for (size_t p = 0; p < texts.size(); ++p) {
      const absl::StatusOr<std::vector<TokenId>> chosen = Predict(model, (*prompts)[p], texts[p].tokens);
      if (!chosen.ok()) return chosen.status();
      for (size_t i = 0; i < chosen->size(); ++i) {
        const bool same = (*chosen)[i] == texts[p].tokens[i];
        agreeing += same ? 1 : 0;
        surely_wrong += !same && texts[p].leads[i] > kSureLead ? 1 : 0;
      }
    }
    *agreement = agreeing / (static_cast<double>(texts.size()) * kCheckedTokens);
    if (*agreement >= (same_weights ? kAgreement : kRequantisedAgreement) &&
        (!same_weights || surely_wrong == 0)) {
      return absl::OkStatus();
    }
    return absl::InternalError(
        absl::StrFormat("%s chooses fp32's token %.1f times in 100, and another %d times where fp32 is sure: "
                        "nothing is timed",
                        name, 100 * *agreement, surely_wrong));
  };
  for (Ours& ours : ours_) {
    const absl::Status status = check("ours, " + ours.description, *ours.greedy, true, &ours.agreement);
    if (!status.ok()) return status;
  }
  for (Peer& peer : peers_) {
    const absl::Status status =
        check("llama.cpp " + peer.name, *peer.model, &peer == &peers_.front(), &peer.agreement);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<Comparison> LanguageModelSides::Compare(
    const Ours& ours, const std::function<absl::StatusOr<double>(GreedyModel&)>& time, Better better) const {
  std::vector<Run> peers;
  for (const Peer& peer : peers_) peers.push_back([&] { return time(*peer.model); });
  return bench::Compare([&] { return time(*ours.greedy); }, peers, better, {.seconds = options_.seconds});
}

double LanguageModelSides::StepFloor(Arithmetic arithmetic, const Work& step) const {
  const LanguageModelShape& shape = files_->shape();
  const Size layers = LayersSize(*files_);
  const Size head = SizeOf(*files_, Weight::kHead);
  // Keys and values: read once a sequence from memory, fp16; multiplied in fp32, each with a query's and a
  // probability's number.
  const double kv_bytes =
      2.0 * 2 * shape.layers * shape.kv_heads * shape.head_dim * step.attended * step.sequences;
  const double attention_products =
      2.0 * shape.layers * shape.heads * shape.head_dim * step.attended * step.rows;
  const double bytes = layers.bytes + (step.scored_rows > 0 ? head.bytes : 0) + kv_bytes;

  const double linear_products = layers.values * step.rows + head.values * step.scored_rows;
  double linear_seconds = 0;
  switch (arithmetic) {
    case Arithmetic::kInt8:
      linear_seconds = linear_products / machine_.int8_products_per_s;
      break;
    case Arithmetic::kInt16:  // two int8 terms an activation
      linear_seconds = 2 * linear_products / machine_.int8_products_per_s;
      break;
    default:
      linear_seconds = linear_products / machine_.fp32_products_per_s;
  }
  const double multiply_seconds = linear_seconds + attention_products / machine_.fp32_products_per_s;
  return std::max(bytes / machine_.read_bytes_per_s, multiply_seconds);
}

Figure LanguageModelSides::MakeFigure(const Ours& ours, const std::string& suite, const std::string& name,
                                      const Comparison& comparison, const Work& step) const {
  Figure figure;
  figure.suite = suite;
  figure.name = name + ours.suffix;
  figure.ours = comparison.ours;
  figure.peer = comparison.peers[comparison.best];
  figure.peer_name = absl::StrCat("llama.cpp v0.5.0, ", peers_[comparison.best].name);
  figure.unit = "tokens/s";
  figure.better = Better::kHigher;
  figure.limit = step.rows / StepFloor(ours.arithmetic, step);
  figure.setting = {{"threads", options_.threads},
                    {"arithmetic", ours.description},
                    {"agreement_with_fp32", ours.agreement},
                    {"peer_agreement_with_fp32", peers_[comparison.best].agreement},
                    {"ms_per_step", 1e3 * step.rows / comparison.ours}};
  for (size_t i = 0; i < peers_.size(); ++i) {
    figure.setting["peers"][peers_[i].name] = comparison.peers[i];
  }
  return figure;
}

}  // namespace parley::bench

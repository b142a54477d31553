// Suites `decode` and `prefill`: the int8 language model on engine/cpu beside the same weights in fp32 on
// LibTorch, alternating in one process. Both must agree on what comes next before anything is timed. One JSON
// object a figure, in tokens a second.
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/cpu/llama.h"
#include "engine/torch/llama.h"

namespace parley::engine {
namespace {

constexpr int kPromptTokens = 128;

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

// Some text's worth of ids: the arithmetic does not care which.
std::vector<TokenId> Prompt(int tokens) {
  std::vector<TokenId> ids(tokens);
  for (int i = 0; i < tokens; ++i) ids[i] = 1000 + i * 37 % 20000;
  return ids;
}

TokenId Best(const std::vector<float>& logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

absl::Status Prefill(LanguageModel& model, Sequence& sequence, absl::Span<const TokenId> ids,
                     std::vector<float>* logits) {
  StepEntry entry = {&sequence, ids, logits};
  return model.Step(absl::MakeSpan(&entry, 1));
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

// `batch` sequences of kPromptTokens, then `steps` steps of one token each; tokens a second.
double TimeDecode(LanguageModel& model, int batch, int steps) {
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<std::vector<float>> logits(batch);
  const std::vector<TokenId> prompt = Prompt(kPromptTokens);
  for (int i = 0; i < batch; ++i) {
    sequences.push_back(*model.NewSequence());
    if (!Prefill(model, *sequences[i], prompt, &logits[i]).ok()) return 0;
  }
  std::vector<TokenId> next(batch);
  const auto start = std::chrono::steady_clock::now();
  for (int step = 0; step < steps; ++step) {
    std::vector<StepEntry> entries;
    for (int i = 0; i < batch; ++i) {
      next[i] = Best(logits[i]);
      entries.push_back({sequences[i].get(), {&next[i], 1}, &logits[i]});
    }
    if (!model.Step(absl::MakeSpan(entries)).ok()) return 0;
  }
  return batch * steps / Seconds(start);
}

double TimePrefill(LanguageModel& model, int tokens) {
  const std::unique_ptr<Sequence> sequence = *model.NewSequence();
  const std::vector<TokenId> prompt = Prompt(tokens);
  const auto start = std::chrono::steady_clock::now();
  if (!Prefill(model, *sequence, prompt, nullptr).ok()) return 0;
  return tokens / Seconds(start);
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

int Main(int argc, char** argv) {
  std::string suite;
  std::string model_dir;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  int repeats = 5;
  CLI::App app("Language model figures, one JSON object a line. Run it by bench/run.");
  app.add_option("suite", suite, "decode or prefill")
      ->required()
      ->check(CLI::IsMember({"decode", "prefill"}));
  app.add_option("--model", model_dir, "The bundle's folder")->required()->check(CLI::ExistingDirectory);
  app.add_option("--threads", threads, "Threads of both sides")->check(CLI::Range(1, 256));
  app.add_option("--repeats", repeats, "Runs of each side, alternating; the median counts")
      ->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);

  at::set_num_threads(threads);
  auto opened = bundle::LanguageModelFiles::Open({"gguf", model_dir + "/language_model/model.gguf"});
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", opened.status().ToString().c_str());
    return 1;
  }
  const auto files = std::make_shared<const bundle::LanguageModelFiles>(*std::move(opened));
  auto ours = cpu::Llama::Load(files, {.threads = threads});
  auto peer = Llama::Load(files, Arithmetic::kFp32);
  if (!ours.ok() || !peer.ok()) {
    std::fprintf(stderr, "%s %s\n", ours.status().ToString().c_str(), peer.status().ToString().c_str());
    return 1;
  }

  // The same weights must say the same thing: "<|im_start|>user" and so on are ordinary ids to both.
  std::vector<float> logits[2];
  if (!Prefill(**ours, **(*ours)->NewSequence(), Prompt(16), &logits[0]).ok() ||
      !Prefill(**peer, **(*peer)->NewSequence(), Prompt(16), &logits[1]).ok() ||
      Best(logits[0]) != Best(logits[1])) {
    std::fprintf(stderr, "the two sides disagree on the next token: nothing is timed\n");
    return 1;
  }

  const auto print = [&](const std::string& figure, const auto& time) {
    std::vector<double> our_runs;
    std::vector<double> peer_runs;
    for (int i = 0; i < repeats; ++i) {
      our_runs.push_back(time(**ours));
      peer_runs.push_back(time(**peer));
    }
    const double our_median = Median(our_runs);
    const double peer_median = Median(peer_runs);
    std::printf("%s\n", nlohmann::json{{"suite", suite},
                                       {"figure", figure},
                                       {"ours", our_median},
                                       {"peer", peer_median},
                                       {"peer_name", "LibTorch fp32, same weights"},
                                       {"ratio", our_median / peer_median},
                                       {"unit", "tokens/s"},
                                       {"better", "higher"},
                                       {"setting", {{"threads", threads}, {"repeats", repeats}}},
                                       {"cpu", CpuName()}}
                            .dump()
                            .c_str());
    std::fflush(stdout);
  };
  if (suite == "decode") {
    for (int batch : {1, 4, 8, 16}) {
      print("batch_" + std::to_string(batch), [&](LanguageModel& m) { return TimeDecode(m, batch, 16); });
    }
  } else {
    for (int tokens : {64, 182, 512}) {
      print(std::to_string(tokens), [&](LanguageModel& m) { return TimePrefill(m, tokens); });
    }
  }
  return 0;
}

}  // namespace
}  // namespace parley::engine

int main(int argc, char** argv) { return parley::engine::Main(argc, argv); }

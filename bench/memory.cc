// Suite `memory`: an hour of camera at a frame a second on the real language model, as fast as it goes.
// Frames are label words, as the vision bridge writes them; each minute shows another thing and ends with a
// question about it. Prints how resident memory grew over the second half, the pages of the KV cache, and how
// many of the questions were answered with the thing shown. Nothing here sleeps: the clock is the bench's.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "engine/bundle/manifest.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/cpu/llama.h"
#include "engine/runtime/manual_engine.h"
#include "engine/text/prompt_layout.h"
#include "engine/text/tokenizer.h"

namespace parley::engine {
namespace {

// What the camera shows, minute by minute, and the word of it that an answer must hold.
struct Thing {
  const char* label;
  const char* word;
};
constexpr Thing kThings[] = {
    {"an Egyptian cat", "cat"},   {"an espresso", "espresso"},         {"a moped", "moped"},
    {"a banana", "banana"},       {"an acoustic guitar", "guitar"},    {"a school bus", "bus"},
    {"an umbrella", "umbrella"},  {"a golden retriever", "retriever"}, {"a laptop", "laptop"},
    {"a pineapple", "pineapple"}, {"a wall clock", "clock"},
};
constexpr int kThingCount = sizeof(kThings) / sizeof(kThings[0]);

// The language model of a bundle, and eyes that read a thing's number from a picture's first value.
class CameraModel final : public Model {
 public:
  static absl::StatusOr<std::unique_ptr<CameraModel>> Load(const std::string& folder, int threads,
                                                           int64_t kv_bytes) {
    const absl::StatusOr<bundle::BundleManifest> manifest = bundle::ReadManifest(folder);
    if (!manifest.ok()) return manifest.status();
    absl::StatusOr<bundle::LanguageModelFiles> opened =
        bundle::LanguageModelFiles::Open(manifest->language_model);
    if (!opened.ok()) return opened.status();
    const auto files = std::make_shared<const bundle::LanguageModelFiles>(*std::move(opened));
    absl::StatusOr<bundle::TokenizerFiles> texts = bundle::ReadTokenizer(*files);
    if (!texts.ok()) return texts.status();
    auto model = std::make_unique<CameraModel>();
    absl::StatusOr<std::unique_ptr<text::Tokenizer>> tokenizer =
        text::Tokenizer::Create(std::move(texts->tokenizer));
    if (!tokenizer.ok()) return tokenizer.status();
    model->tokenizer_ = *std::move(tokenizer);
    absl::StatusOr<text::PromptLayout> layout =
        text::PromptLayout::Create({.family = manifest->prompt.layout,
                                    .chat_template = std::move(texts->chat_template),
                                    .system = manifest->prompt.system},
                                   model->tokenizer_.get());
    if (!layout.ok()) return layout.status();
    model->layout_ = std::make_unique<text::PromptLayout>(*std::move(layout));
    absl::StatusOr<std::unique_ptr<cpu::Llama>> llama = cpu::Llama::Load(
        files, {.threads = threads, .activations = cpu::ActivationBits::k16, .kv_bytes = kv_bytes});
    if (!llama.ok()) return llama.status();
    model->llama_ = *std::move(llama);
    model->info_.context_tokens = files->shape().context_tokens;
    return model;
  }

  const EngineInfo& info() const override { return info_; }
  const text::Tokenizer& tokenizer() const override { return *tokenizer_; }
  const text::PromptLayout& layout() const override { return *layout_; }
  bool hears() const override { return false; }
  bool sees() const override { return true; }
  int vocabulary() const override { return llama_->vocabulary(); }
  absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() override { return llama_->NewSequence(); }
  absl::Status Step(absl::Span<StepEntry> entries) override { return llama_->Step(entries); }
  schedule::PageStats pages() const override { return llama_->pages(); }
  int64_t page_bytes() const override { return llama_->page_bytes(); }
  absl::StatusOr<std::vector<std::string>> DescribeImages(absl::Span<const ImagePtr> images) override {
    std::vector<std::string> words;
    for (const ImagePtr& image : images) {
      words.push_back(absl::StrCat("The picture shows ", kThings[image->pixels[0]].label, "."));
    }
    return words;
  }
  absl::StatusOr<std::unique_ptr<Transcription>> StartTranscription(std::vector<float>) override {
    return absl::FailedPreconditionError("the bench has no ears");
  }

 private:
  EngineInfo info_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<text::PromptLayout> layout_;
  std::unique_ptr<cpu::Llama> llama_;
};

class Answer final : public AnswerListener {
 public:
  void OnText(std::string text, int) override { text_ += text; }
  void OnDone(const AnswerResult& result) override { result_ = result; }
  const std::string& text() const { return text_; }
  const AnswerResult& result() const { return result_; }

 private:
  std::string text_;
  AnswerResult result_;
};

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0;
  int64_t resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

struct Hour {
  std::vector<int64_t> resident;  // bytes, at the end of each minute
  std::vector<int64_t> pages;     // in use
  int questions = 0;
  int right = 0;
  int cut_short = 0;  // answers that ended for want of room
  int64_t frames_forgotten = 0;
  int64_t compactions = 0;
};

absl::StatusOr<Hour> Watch(std::unique_ptr<Model> model, int seconds, int frames, bool print_answers) {
  SimulatedClock clock;
  const auto engine = MakeManualEngine(std::move(model), RuntimeOptions(), &clock);
  absl::StatusOr<std::unique_ptr<Conversation>> conversation =
      engine->StartConversation({.context = {.max_frames = frames}});
  if (!conversation.ok()) return conversation.status();
  Hour hour;
  absl::Status failed;
  for (int second = 0; second < seconds; ++second) {
    const int thing = second / 60 % kThingCount;
    auto image = std::make_shared<Image>();
    image->width = image->height = 1;
    image->pixels = {static_cast<uint8_t>(thing), 0, 0};
    (*conversation)->AppendFrame(std::move(image), [&](const auto& frame) { failed.Update(frame.status()); });
    clock.Advance(absl::Seconds(1));
    if (second % 60 == 59) {
      (*conversation)->AppendText("What is in the picture?", [&](const auto& text) {
        failed.Update(text.status());
      });
      auto answer = std::make_shared<Answer>();
      GenerationConfig config;
      config.max_tokens = 24;
      (*conversation)->Answer(config, answer);
      engine->RunUntilIdle();
      ++hour.questions;
      if (absl::StrContains(answer->text(), kThings[thing].word)) ++hour.right;
      if (print_answers) std::fprintf(stderr, "%s: %s\n", kThings[thing].label, answer->text().c_str());
      if (answer->result().reason == FinishReason::kContextFull) ++hour.cut_short;
      hour.resident.push_back(ResidentBytes());
      hour.pages.push_back(engine->stats().kv_pages_in_use);
    }
    engine->RunUntilIdle();
    if (!failed.ok()) return failed;
  }
  hour.frames_forgotten = engine->stats().frames_forgotten;
  hour.compactions = engine->stats().compactions;
  return hour;
}

int Main(int argc, char** argv) {
  std::string model_dir;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  int seconds = 3600;
  int frames = ContextPolicy().max_frames;
  int64_t kv_bytes = int64_t{1} << 30;
  CLI::App app("Memory over an hour of camera, one JSON object a line.");
  app.add_option("--model", model_dir, "The bundle's folder")->required()->check(CLI::ExistingDirectory);
  app.add_option("--threads", threads, "Threads of the language model")->check(CLI::Range(1, 256));
  app.add_option("--seconds", seconds, "Of camera")->check(CLI::Range(240, 1'000'000));
  app.add_option("--frames", frames, "That stay in the context")->check(CLI::Range(1, 1000));
  app.add_option("--kv-bytes", kv_bytes, "Of the KV cache");
  bool print_answers = false;
  app.add_flag("--answers", print_answers, "Prints what was shown and answered to the error stream");
  CLI11_PARSE(app, argc, argv);

  absl::StatusOr<std::unique_ptr<CameraModel>> model = CameraModel::Load(model_dir, threads, kv_bytes);
  if (!model.ok()) {
    std::fprintf(stderr, "%s\n", model.status().ToString().c_str());
    return 1;
  }
  const int64_t page_bytes = (*model)->page_bytes();
  const absl::StatusOr<Hour> hour = Watch(*std::move(model), seconds, frames, print_answers);
  if (!hour.ok()) {
    std::fprintf(stderr, "%s\n", hour.status().ToString().c_str());
    return 1;
  }

  const nlohmann::json setting = {{"camera_s", seconds},
                                  {"frames_kept", frames},
                                  {"threads", threads},
                                  {"frames_forgotten", hour->frames_forgotten},
                                  {"compactions", hour->compactions},
                                  {"questions", hour->questions},
                                  {"answers_cut_short", hour->cut_short},
                                  {"page_bytes", page_bytes}};
  const auto print = [&](const char* figure, double value, const char* unit, const char* better,
                         const std::vector<int64_t>& by_minute) {
    nlohmann::json line = {{"suite", "memory"},    {"figure", figure}, {"ours", value}, {"peer", nullptr},
                           {"peer_name", nullptr}, {"ratio", nullptr}, {"unit", unit},  {"better", better},
                           {"setting", setting},   {"cpu", CpuName()}};
    if (!by_minute.empty()) line["by_minute"] = by_minute;
    std::printf("%s\n", line.dump().c_str());
  };
  const size_t half = hour->resident.size() / 2;
  const auto start = static_cast<double>(hour->resident[half]);
  const int64_t most = *std::max_element(hour->resident.begin() + half, hour->resident.end());
  print("rss_growth", 100 * (static_cast<double>(most) - start) / start, "%", "lower", hour->resident);
  print("kv_pages", static_cast<double>(*std::max_element(hour->pages.begin(), hour->pages.end())), "pages",
        "lower", hour->pages);
  print("answers_right", 100.0 * hour->right / hour->questions, "%", "higher", {});
  return 0;
}

}  // namespace
}  // namespace parley::engine

int main(int argc, char** argv) { return parley::engine::Main(argc, argv); }

// Suite `memory`: an hour of camera at a frame a second on the real language model, as fast as it goes.
// Frames are label words, as the vision bridge writes them. Another thing is shown each minute, and a
// question about it comes every ten seconds, so that the context fills and is compacted again and again.
// Nothing here sleeps: the clock is the bench's.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "bench/harness.h"
#include "engine/bundle/manifest.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/cpu/llama.h"
#include "engine/runtime/manual_engine.h"
#include "engine/text/prompt_layout.h"
#include "engine/text/tokenizer.h"

namespace parley::bench {
namespace {

using namespace engine;  // the runtime, driven by hand

constexpr int kCameraSeconds = 3600;
constexpr int kQuestionSeconds = 10;
constexpr int64_t kKvBytes = int64_t{1} << 30;

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

// Eyes that read a thing's number from a picture's first value.
class ThingEncoder final : public FrameEncoder {
 public:
  std::string name() const override { return "things"; }
  absl::StatusOr<std::unique_ptr<Encoding>> Start(ImagePtr image) override {
    return std::make_unique<Picture>(std::move(image));
  }
  std::vector<absl::StatusOr<bool>> Advance(absl::Span<Encoding* const> encodings) override {
    return std::vector<absl::StatusOr<bool>>(encodings.size(), true);
  }

 private:
  struct Picture final : Encoding {
    explicit Picture(ImagePtr shown) : image(std::move(shown)) {}
    bool batchable() const override { return true; }
    Encoded Take() override {
      return {.part = absl::StrCat("The picture shows ", kThings[image->pixels[0]].label, ".")};
    }
    const ImagePtr image;
  };
};

// The language model of a bundle with those eyes.
absl::StatusOr<Model> LoadCameraModel(const std::string& folder, int threads) {
  const absl::StatusOr<bundle::BundleManifest> manifest = bundle::ReadManifest(folder);
  if (!manifest.ok()) return manifest.status();
  absl::StatusOr<bundle::LanguageModelFiles> opened =
      bundle::LanguageModelFiles::Open(manifest->language_model);
  if (!opened.ok()) return opened.status();
  const auto files = std::make_shared<const bundle::LanguageModelFiles>(*std::move(opened));
  absl::StatusOr<bundle::TokenizerFiles> texts = bundle::ReadTokenizer(*files);
  if (!texts.ok()) return texts.status();
  Model model;
  absl::StatusOr<std::unique_ptr<text::Tokenizer>> tokenizer =
      text::Tokenizer::Create(std::move(texts->tokenizer));
  if (!tokenizer.ok()) return tokenizer.status();
  model.tokenizer = *std::move(tokenizer);
  absl::StatusOr<text::PromptLayout> layout =
      text::PromptLayout::Create({.family = manifest->prompt.layout,
                                  .chat_template = std::move(texts->chat_template),
                                  .system = manifest->prompt.system},
                                 model.tokenizer.get());
  if (!layout.ok()) return layout.status();
  model.layout = std::make_unique<text::PromptLayout>(*std::move(layout));
  absl::StatusOr<std::unique_ptr<cpu::Llama>> llama =
      cpu::Llama::Load(files, {.threads = threads, .arithmetic = Arithmetic::kInt16, .kv_bytes = kKvBytes});
  if (!llama.ok()) return llama.status();
  model.language_model = *std::move(llama);
  model.frame_encoder = std::make_unique<ThingEncoder>();
  model.info.context_tokens = files->shape().context_tokens;
  return model;
}

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

struct Hour {
  std::vector<int64_t> resident;  // bytes, at the end of each minute
  std::vector<int64_t> pages;     // in use
  int questions = 0;
  int right = 0;
  int cut_short = 0;  // answers that ended for want of room
  int64_t frames_forgotten = 0;
  int64_t compactions = 0;
};

absl::StatusOr<Hour> Watch(Model model) {
  SimulatedClock clock;
  const auto engine = MakeManualEngine(std::move(model), RuntimeOptions(), &clock);
  absl::StatusOr<std::unique_ptr<Conversation>> conversation = engine->StartConversation({});
  if (!conversation.ok()) return conversation.status();
  Hour hour;
  absl::Status failed;
  const auto note = [&](const auto& result) { failed.Update(result.status()); };
  for (int second = 0; second < kCameraSeconds; ++second) {
    const int thing = second / 60 % kThingCount;
    auto image = std::make_shared<Image>();
    image->width = image->height = 1;
    image->pixels = {static_cast<uint8_t>(thing), 0, 0};
    (*conversation)->AppendFrame(std::move(image), note);
    clock.Advance(absl::Seconds(1));
    if (second % kQuestionSeconds == kQuestionSeconds - 1) {
      (*conversation)->AppendText("What is in the picture?", note);
      auto answer = std::make_shared<Answer>();
      GenerationConfig config;
      config.max_tokens = 24;
      (*conversation)->Answer(config, answer);
      engine->RunUntilIdle();
      ++hour.questions;
      if (absl::StrContains(answer->text(), kThings[thing].word)) ++hour.right;
      if (answer->result().reason == FinishReason::kContextFull) ++hour.cut_short;
    }
    engine->RunUntilIdle();
    if (!failed.ok()) return failed;
    if (second % 60 == 59) {
      hour.resident.push_back(ResidentBytes());
      hour.pages.push_back(engine->stats().kv_pages_in_use);
    }
  }
  hour.frames_forgotten = engine->stats().frames_forgotten;
  hour.compactions = engine->stats().compactions;
  return hour;
}

absl::Status Measure(const SuiteOptions& options) {
  const int threads = options.threads > 0 ? options.threads : ProcessorCount();
  absl::StatusOr<Model> model = LoadCameraModel(options.model_dir, threads);
  if (!model.ok()) return model.status();
  const int64_t page_bytes = model->language_model->page_bytes();
  const absl::StatusOr<Hour> hour = Watch(*std::move(model));
  if (!hour.ok()) return hour.status();
  if (hour->cut_short > 0) {
    return absl::InternalError(absl::StrCat(hour->cut_short, " answers ended for want of room"));
  }

  const nlohmann::json setting = {{"camera_s", kCameraSeconds},
                                  {"question_every_s", kQuestionSeconds},
                                  {"frames_kept", ContextPolicy().max_frames},
                                  {"threads", threads},
                                  {"frames_forgotten", hour->frames_forgotten},
                                  {"compactions", hour->compactions},
                                  {"questions", hour->questions}};
  const auto print = [&](const char* name, double ours, const char* unit, Better better, const char* series,
                         const std::vector<int64_t>& by_minute) {
    Figure figure = {.suite = "memory", .name = name, .ours = ours, .unit = unit, .better = better};
    figure.setting = setting;
    if (!by_minute.empty()) figure.setting[series] = by_minute;
    Print(figure);
  };
  const auto half = hour->resident.begin() + static_cast<int64_t>(hour->resident.size() / 2);
  const auto start = static_cast<double>(*(half - 1));
  const auto most = static_cast<double>(*std::max_element(half, hour->resident.end()));
  print("rss_growth", 100 * (most - start) / start, "%", Better::kLower, "bytes_by_minute", hour->resident);
  const int64_t pages = *std::max_element(hour->pages.begin(), hour->pages.end());
  print("kv_bytes", static_cast<double>(pages * page_bytes), "bytes", Better::kLower, "pages_by_minute",
        hour->pages);
  print("answers_right", 100.0 * hour->right / hour->questions, "%", Better::kHigher, "", {});
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "Memory over an hour of camera, in accelerated time.",
                                  parley::bench::Measure);
}

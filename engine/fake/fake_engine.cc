#include "engine/fake/fake_engine.h"

#include <utility>

#include "engine/fake/fake_encoders.h"
#include "engine/fake/fake_language_model.h"
#include "engine/text/prompt_layout.h"

namespace parley::engine {
namespace {

class FakeSpeechDetector final : public SpeechDetector {
 public:
  std::string_view name() const override { return "energy"; }
  std::unique_ptr<State> NewState() const override { return std::make_unique<NoState>(); }
  absl::Status Detect(absl::Span<Window> batch) override {
    constexpr double kThreshold = 0.02;
    for (Window& window : batch) {
      double energy = 0;
      for (const float sample : window.samples) energy += static_cast<double>(sample) * sample;
      const auto count = static_cast<double>(window.samples.size());
      window.probability = energy > kThreshold * kThreshold * count ? 1.0f : 0.0f;
    }
    return absl::OkStatus();
  }

 private:
  struct NoState final : State {
    void Reset() override {}
  };
};

}  // namespace

void FakeFaults::FailNextStep(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  step_ = std::move(status);
}

void FakeFaults::FailNextEncode(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  encode_ = std::move(status);
}

void FakeFaults::FailNextTranscription(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  transcription_ = std::move(status);
}

void FakeFaults::FailConversationsHolding(std::string text, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  holding_ = std::move(text);
  holding_status_ = std::move(status);
}

void FakeFaults::Stall() {
  absl::MutexLock lock(&mutex_);
  stalled_ = true;
}

void FakeFaults::Resume() {
  absl::MutexLock lock(&mutex_);
  stalled_ = false;
}

Model MakeFakeModel(const FakeOptions& options) {
  Model model;
  model.tokenizer = MakeFakeTokenizer();
  model.layout = std::make_unique<text::PromptLayout>(
      text::PromptLayout::Create({.family = "chatml", .system = "You are a fake."}, model.tokenizer.get())
          .value());
  model.language_model = std::make_unique<FakeLanguageModel>(options, model.tokenizer.get());
  if (options.hears) model.speech_encoder = std::make_unique<FakeSpeechEncoder>(options);
  if (options.sees) model.frame_encoder = std::make_unique<FakeFrameEncoder>(options);
  model.info.bundle = "fake";
  model.info.language_model = "hash";
  model.info.audio_encoder = model.hears() ? model.speech_encoder->name() : "";
  model.info.vision_encoder = model.sees() ? model.frame_encoder->name() : "";
  model.info.speech_detector = "energy";
  model.info.arithmetic = "integer hash";
  model.info.device = "none";
  model.info.context_tokens = options.context_tokens;
  return model;
}

std::unique_ptr<SpeechDetector> MakeFakeSpeechDetector() { return std::make_unique<FakeSpeechDetector>(); }

LoadedFake MakeFakeEngine(const FakeOptions& options, const Clock* clock) {
  return {MakeRuntimeEngine(MakeFakeModel(options), options.runtime, clock), MakeFakeSpeechDetector()};
}

}  // namespace parley::engine

#include "engine/fake/fake_engine.h"

#include <utility>

#include "engine/fake/fake_model.h"

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

std::unique_ptr<Model> MakeFakeModel(const FakeOptions& options) {
  return std::make_unique<FakeModel>(options);
}

std::unique_ptr<SpeechDetector> MakeFakeSpeechDetector() { return std::make_unique<FakeSpeechDetector>(); }

LoadedFake MakeFakeEngine(const FakeOptions& options, const Clock* clock) {
  return {MakeRuntimeEngine(MakeFakeModel(options), options.runtime, clock), MakeFakeSpeechDetector()};
}

}  // namespace parley::engine

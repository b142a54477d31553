#include "engine/runtime/runtime_engine.h"

#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "engine/runtime/manual_engine.h"
#include "engine/runtime/model_loop.h"

namespace parley::engine {
namespace {

class RuntimeConversation final : public Conversation {
 public:
  RuntimeConversation(std::shared_ptr<Inbox> inbox, ModelLoop* loop, const Clock* clock)
      : inbox_(std::move(inbox)), loop_(loop), clock_(clock) {}

  ~RuntimeConversation() override {
    inbox_->Close();
    loop_->Wake();
  }

  uint64_t Submit(Operation operation) override {
    const uint64_t id = inbox_->Submit(std::move(operation), clock_->Now());
    loop_->Wake();
    return id;
  }

 private:
  const std::shared_ptr<Inbox> inbox_;
  ModelLoop* const loop_;
  const Clock* const clock_;
};

// One turn of every kind the bundle takes. Each completion notes its status; `done` follows the last.
class WarmUpTurn final : public AnswerListener {
 public:
  static std::shared_ptr<WarmUpTurn> Start(const Engine& engine, Conversation* conversation) {
    auto turn = std::make_shared<WarmUpTurn>();
    const auto note = [turn](const auto& result) { turn->Note(result.status()); };
    if (engine.sees()) {
      auto image = std::make_shared<Image>();
      image->width = image->height = 224;
      image->pixels.assign(static_cast<size_t>(image->width) * image->height * 3, 128);
      conversation->AppendFrame(image, note);
    }
    if (engine.hears()) conversation->AppendSpeech(Noise(), note);
    conversation->AppendText("Hello.", note);
    GenerationConfig config;
    config.max_tokens = 4;
    conversation->Answer(config, turn);
    return turn;
  }

  void OnText(std::string, int) override {}
  void OnDone(const AnswerResult& result) override {
    Note(result.status);
    done_.Notify();
  }
  absl::Notification& done() { return done_; }
  // REQUIRES: done.
  const absl::Status& status() const { return status_; }

 private:
  // A second of it: silence would be recognised as such before the decoder has run.
  static std::vector<float> Noise() {
    std::vector<float> samples(kSampleRateHz);
    uint32_t state = 1;
    for (float& sample : samples) {
      state = state * 1664525 + 1013904223;
      sample = static_cast<float>(state >> 16) * (0.2f / 65536) - 0.1f;
    }
    return samples;
  }
  void Note(const absl::Status& status) { status_.Update(status); }

  absl::Status status_;
  absl::Notification done_;
};

// Engine over ModelLoop, for both ways to drive it.
template <typename Interface>
class EngineOnLoop : public Interface {
 public:
  EngineOnLoop(Model model, const RuntimeOptions& options, const Clock* clock)
      : model_(std::move(model)), clock_(clock), loop_(&model_, options, clock) {}

  const EngineInfo& info() const override { return model_.info; }
  bool hears() const override { return model_.hears(); }
  bool sees() const override { return model_.sees(); }
  EngineStats stats() const override { return loop_.stats(); }

  absl::StatusOr<std::unique_ptr<Conversation>> StartConversation(ConversationOptions options) override {
    absl::StatusOr<std::shared_ptr<Inbox>> inbox = loop_.Open(options);
    if (!inbox.ok()) return inbox.status();
    return std::make_unique<RuntimeConversation>(*std::move(inbox), &loop_, clock_);
  }

  absl::Status WarmUp() override {
    absl::StatusOr<std::unique_ptr<Conversation>> conversation = StartConversation({});
    if (!conversation.ok()) return conversation.status();
    const std::shared_ptr<WarmUpTurn> turn = WarmUpTurn::Start(*this, conversation->get());
    WaitFor(turn->done());
    return turn->status();
  }

 protected:
  virtual void WaitFor(absl::Notification& done) = 0;
  ModelLoop& loop() { return loop_; }

 private:
  Model model_;
  const Clock* const clock_;
  ModelLoop loop_;
};

class RuntimeEngine final : public EngineOnLoop<Engine> {
 public:
  RuntimeEngine(Model model, const RuntimeOptions& options, const Clock* clock)
      : EngineOnLoop(std::move(model), options, clock), thread_([this] { loop().Run(); }) {}

  ~RuntimeEngine() override {
    loop().Stop();
    thread_.join();
  }

 private:
  void WaitFor(absl::Notification& done) override { done.WaitForNotification(); }

  std::thread thread_;
};

class ManualEngineOnLoop final : public EngineOnLoop<ManualEngine> {
 public:
  using EngineOnLoop::EngineOnLoop;
  bool RunOnce() override { return loop().RunOnce(); }

 private:
  void WaitFor(absl::Notification&) override { RunUntilIdle(); }
};

}  // namespace

std::unique_ptr<Engine> MakeRuntimeEngine(Model model, const RuntimeOptions& options, const Clock* clock) {
  return std::make_unique<RuntimeEngine>(std::move(model), options, clock);
}

std::unique_ptr<ManualEngine> MakeManualEngine(Model model, const RuntimeOptions& options,
                                               const Clock* clock) {
  return std::make_unique<ManualEngineOnLoop>(std::move(model), options, clock);
}

}  // namespace parley::engine

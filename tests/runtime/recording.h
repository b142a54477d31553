// What the runtime's tests share: a fake engine driven by hand, and completions that remember.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/api/conversation.h"
#include "engine/fake/fake_engine.h"
#include "engine/runtime/manual_engine.h"

namespace parley::engine {

class RecordedAnswer : public AnswerListener {
 public:
  void OnText(std::string text, int tokens) override {
    text_ += text;
    chunks_.emplace_back(std::move(text), tokens);
  }
  void OnDone(const AnswerResult& result) override {
    ++done_;
    result_ = result;
  }
  const std::string& text() const { return text_; }
  const std::vector<std::pair<std::string, int>>& chunks() const { return chunks_; }
  int done() const { return done_; }
  const AnswerResult& result() const { return *result_; }

 private:
  std::string text_;
  std::vector<std::pair<std::string, int>> chunks_;
  int done_ = 0;
  std::optional<AnswerResult> result_;
};

// Remembers one completion.
template <typename Result>
struct Recorded {
  std::optional<absl::StatusOr<Result>> result;
  int calls = 0;
  auto Done() {
    return [this](absl::StatusOr<Result> r) {
      ++calls;
      result.emplace(std::move(r));
    };
  }
  absl::Status status() const {
    return result.has_value() ? result->status() : absl::UnknownError("not called");
  }
};

inline ImagePtr Colour(uint8_t red, uint8_t green, uint8_t blue) {
  auto image = std::make_shared<Image>();
  image->width = image->height = 2;
  for (int i = 0; i < 4; ++i) {
    for (const uint8_t channel : {red, green, blue}) image->pixels.push_back(channel);
  }
  return image;
}

inline std::vector<float> Speech(double seconds) {
  return std::vector<float>(static_cast<size_t>(seconds * kSampleRateHz), 0.1f);
}

// A fake engine in simulated time.
struct Bench {
  explicit Bench(FakeOptions options = {}) {
    options.simulated = &clock;
    options.faults = faults;
    engine = MakeManualEngine(MakeFakeModel(options), options.runtime, &clock);
  }
  std::unique_ptr<Conversation> Start(std::string instructions = "") {
    return engine->StartConversation({.instructions = std::move(instructions)}).value();
  }
  // Asks by text and answers to the end.
  std::shared_ptr<RecordedAnswer> Ask(Conversation* conversation, std::string text,
                                      GenerationConfig config = {}) {
    conversation->AppendText(std::move(text), [](const auto&) {});
    auto answer = std::make_shared<RecordedAnswer>();
    conversation->Answer(config, answer);
    engine->RunUntilIdle();
    return answer;
  }

  SimulatedClock clock;
  std::shared_ptr<FakeFaults> faults = std::make_shared<FakeFaults>();
  std::unique_ptr<ManualEngine> engine;
};

}  // namespace parley::engine

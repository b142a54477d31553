// An engine that the test drives: each Step does one piece of work of the oldest conversation that has any,
// so that a whole call runs on one thread, in simulated time, in an order the test chooses.
//
// Speech is read as what Hear() queued, else "speech of <n> windows" by its length; pictures as "a picture".
// Answers are "t<answer>.<n> " for n = 1, 2, ... up to SetAnswerTokens.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "engine/api/engine.h"

namespace parley::streaming {

namespace op = engine::op;

class ScriptedConversation;

// What the test has said, and what it can look at.
struct Script {
  bool hears = true;
  bool writes = true;  // a transcript of what it hears
  bool sees = true;
  std::deque<std::string> transcripts;
  std::deque<std::string> aside_transcripts;
  bool hold_asides = false;
  absl::Status aside_status;
  double aside_log_probability = 0;
  int answer_tokens = 5;
  engine::FinishReason answer_end = engine::FinishReason::kEndOfTurn;
  absl::Status fail_next;
  absl::Status refuse_next;
  int refusals = 0;

  std::vector<ScriptedConversation*> conversations;
  std::vector<std::vector<float>> utterances;
  std::vector<size_t> early_transcriptions;
  std::vector<size_t> aside_samples;
  std::deque<absl::AnyInvocable<void()>> asides;  // not written yet
  std::vector<op::Queued> late;                   // of conversations that are gone
  engine::GenerationConfig last_generation;
  engine::ConversationOptions last_options;
  int speculations = 0;
  int promotions = 0;

  static std::string Transcript(std::deque<std::string>& scripted, size_t samples) {
    if (scripted.empty()) return absl::StrCat("speech of ", samples / 512, " windows");
    std::string transcript = std::move(scripted.front());
    scripted.pop_front();
    return transcript;
  }
  bool WriteAside() {
    if (asides.empty()) return false;
    auto aside = std::move(asides.front());
    asides.pop_front();
    aside();
    return true;
  }
};

class ScriptedConversation : public engine::Conversation {
 public:
  ScriptedConversation(Script* script, const Clock* clock) : script_(script), clock_(clock) {}
  ~ScriptedConversation() override {
    std::erase(script_->conversations, this);
    for (QueuedOperation& queued : queue_) script_->late.push_back(std::move(queued.what));
  }

  uint64_t Submit(engine::Operation operation) override {
    if (auto* immediate = std::get_if<op::Immediate>(&operation)) {
      std::visit([this](auto& each) { Handle(each); }, *immediate);
      return 0;
    }
    QueuedOperation queued = {.what = std::get<op::Queued>(std::move(operation))};
    std::visit([&](const auto& each) { Admit(each, queued); }, queued.what);
    queue_.push_back(std::move(queued));
    return queue_.back().id;
  }

  bool busy() const { return !queue_.empty(); }
  void Step() {
    if (!script_->fail_next.ok()) poison_ = std::exchange(script_->fail_next, absl::OkStatus());
    if (std::holds_alternative<op::Answer>(queue_.front().what)) return StepAnswer(queue_.front());
    QueuedOperation taken = std::move(queue_.front());
    queue_.pop_front();
    std::visit([&](auto& each) { Run(each, taken); }, taken.what);
  }
  // "U: [64] hello | A: t1.1 t1.2"
  std::string History() const {
    std::string history;
    bool user = false;
    for (const Entry& entry : history_) {
      if (entry.kind == Entry::kAnswer) {
        absl::StrAppend(&history, history.empty() ? "" : " | ", "A:");
        for (int i = 1; i <= entry.tokens; ++i) absl::StrAppend(&history, " t", entry.answer, ".", i);
        user = false;
        continue;
      }
      if (!user) absl::StrAppend(&history, history.empty() ? "" : " | ", "U:");
      user = true;
      absl::StrAppend(&history, " ", entry.text);
    }
    return history;
  }

 private:
  struct QueuedOperation {
    op::Queued what;
    uint64_t id = 0;         // of the answer or the mark
    bool cancelled = false;  // by a rewind
    // Of an answer:
    int limit = 0;
    int made = 0;
    engine::AnswerResult result;
  };
  struct Entry {
    enum Kind { kFrame, kSpeech, kText, kAnswer };
    Kind kind = kText;
    std::string text;
    engine::AnswerId answer = 0;
    int tokens = 0;
  };

  // What is done when an operation is given.
  template <typename Op>
  void Admit(const Op&, QueuedOperation&) {}
  void Admit(const op::AppendSpeech& speech, QueuedOperation&) {
    script_->utterances.push_back(speech.samples);
  }
  void Admit(const op::Answer& answer, QueuedOperation& queued) {
    script_->last_generation = answer.config;
    queued.id = ++last_answer_;
    queued.limit = std::min(script_->answer_tokens, answer.config.max_tokens);
    queued.result = {.queued = clock_->Now(), .first_token = absl::InfiniteFuture()};
  }
  void Admit(const op::Mark&, QueuedOperation& queued) { queued.id = ++last_mark_; }
  void Admit(const op::Speculate&, QueuedOperation& queued) {
    ++script_->speculations;
    Admit(op::Mark{}, queued);
  }
  // Operations between the mark and the rewind that are not complete complete with CANCELLED.
  void Admit(const op::Rewind& rewind, QueuedOperation&) {
    const auto mark = std::find_if(queue_.begin(), queue_.end(), [&](const QueuedOperation& queued) {
      const bool is_mark =
          std::holds_alternative<op::Mark>(queued.what) || std::holds_alternative<op::Speculate>(queued.what);
      return is_mark && queued.id == rewind.mark && !queued.cancelled;
    });
    for (auto queued = mark == queue_.end() ? queue_.begin() : mark + 1; queued != queue_.end(); ++queued) {
      queued->cancelled = true;
    }
  }

  void Handle(const op::TranscribeEarly& speech) {
    script_->early_transcriptions.push_back(speech.samples.size());
  }
  void Handle(op::Transcribe& speech) {
    const size_t size = speech.samples.size();
    script_->aside_samples.push_back(size);
    while (script_->WriteAside()) {  // the newest takes its place; the callers know the one they want
    }
    script_->asides.push_back([script = script_, size, done = std::move(speech.done)]() mutable {
      if (!script->aside_status.ok()) return done(script->aside_status);
      const std::string transcript = Script::Transcript(script->aside_transcripts, size);
      done(engine::SpeechResult{.heard = !transcript.empty(),
                                .transcript = transcript,
                                .language = "en",
                                .mean_log_probability = script->aside_log_probability});
    });
    if (!script_->hold_asides) script_->WriteAside();
  }
  void Handle(const op::CancelAnswer& cancel) {
    for (QueuedOperation& queued : queue_) {
      if (std::holds_alternative<op::Answer>(queued.what) && queued.id == cancel.answer)
        queued.cancelled = true;
    }
  }
  void Handle(const op::Promote&) { ++script_->promotions; }

  // What is done when its turn has come.
  void Run(op::AppendFrame& frame, const QueuedOperation& queued) {
    absl::Status status = TakeStatus(queued);
    if (status.ok() && clock_->Now() > frame.deadline) status = absl::DeadlineExceededError("too late");
    if (!status.ok()) return frame.done(status);
    history_.push_back({.kind = Entry::kFrame, .text = absl::StrCat("[", frame.image->width, "]")});
    frame.done(engine::FrameResult{.description = "a picture", .tokens = 10, .times = Times()});
  }
  void Run(op::AppendSpeech& speech, const QueuedOperation& queued) {
    if (absl::Status status = TakeStatus(queued); !status.ok()) return speech.done(status);
    const std::string transcript = Script::Transcript(script_->transcripts, speech.samples.size());
    history_.push_back({.kind = Entry::kSpeech, .text = transcript});
    speech.done(engine::SpeechResult{.heard = !transcript.empty(),
                                     .transcript = script_->writes ? transcript : "",
                                     .language = "en",
                                     .tokens = 4,
                                     .times = Times()});
  }
  void Run(op::AppendText& text, const QueuedOperation& queued) {
    if (absl::Status status = TakeStatus(queued); !status.ok()) return text.done(status);
    history_.push_back({.kind = Entry::kText, .text = text.text});
    text.done(engine::TextResult{.tokens = 3, .times = Times()});
  }
  void Run(const op::Answer&, const QueuedOperation&) {}  // see StepAnswer
  void Run(const op::TrimAnswer& trim, const QueuedOperation&) {
    for (Entry& entry : history_) {
      if (entry.answer == trim.answer) entry.tokens = std::min(entry.tokens, trim.tokens);
    }
  }
  void Run(const op::Mark&, const QueuedOperation& queued) {
    marks_.emplace_back(queued.id, history_.size());
  }
  void Run(const op::Speculate&, const QueuedOperation& queued) { Run(op::Mark{}, queued); }
  void Run(const op::Rewind& rewind, const QueuedOperation&) {
    for (const auto& [id, size] : marks_) {
      if (id == rewind.mark && history_.size() > size) history_.resize(size);
    }
  }

  // How an append is to complete.
  absl::Status TakeStatus(const QueuedOperation& append) {
    absl::Status status = poison_;
    if (script_->refusals > 0) {
      --script_->refusals;
      status = script_->refuse_next;
    }
    return append.cancelled ? absl::CancelledError("rewound") : status;
  }
  engine::OperationTimes Times() const {
    const absl::Time now = clock_->Now();
    return {.queued = now, .encode_start = now, .encode_end = now, .prefill_start = now, .prefill_end = now};
  }

  void StepAnswer(QueuedOperation& answer) {
    if (!poison_.ok()) return FinishAnswer(engine::FinishReason::kFailed, poison_);
    const bool known = std::any_of(history_.begin(), history_.end(),
                                   [&](const Entry& entry) { return entry.answer == answer.id; });
    if (!known) history_.push_back({.kind = Entry::kAnswer, .answer = answer.id});
    if (answer.cancelled) return FinishAnswer(engine::FinishReason::kCancelled, absl::OkStatus());
    if (answer.made == answer.limit) return FinishAnswer(script_->answer_end, absl::OkStatus());
    const absl::Time now = clock_->Now();
    if (answer.made++ == 0) {
      answer.result.prefill_start = answer.result.prefill_end = now;
      answer.result.first_token = now;
    }
    answer.result.last_token = now;
    for (Entry& entry : history_) {
      if (entry.answer == answer.id) entry.tokens = answer.made;
    }
    std::get<op::Answer>(answer.what)
        .listener->OnText(absl::StrCat("t", answer.id, ".", answer.made, " "), answer.made);
  }
  void FinishAnswer(engine::FinishReason reason, const absl::Status& status) {
    QueuedOperation taken = std::move(queue_.front());
    queue_.pop_front();
    if (reason == engine::FinishReason::kCancelled && taken.made == 0) {  // leaves no trace
      std::erase_if(history_, [&](const Entry& entry) { return entry.answer == taken.id; });
    }
    taken.result.reason = reason;
    taken.result.status = status;
    taken.result.answer_tokens = taken.made;
    taken.result.turn_usage = {.speech_tokens = 4, .template_tokens = 2, .answer_tokens = taken.made};
    std::get<op::Answer>(taken.what).listener->OnDone(taken.result);
  }

  Script* const script_;
  const Clock* const clock_;
  std::deque<QueuedOperation> queue_;
  std::vector<Entry> history_;
  std::vector<std::pair<engine::MarkId, size_t>> marks_;
  engine::MarkId last_mark_ = 0;
  engine::AnswerId last_answer_ = 0;
  absl::Status poison_;
};

class ScriptedEngine : public engine::Engine {
 public:
  explicit ScriptedEngine(const Clock* clock) : clock_(clock) {}

  const engine::EngineInfo& info() const override { return info_; }
  bool hears() const override { return script_.hears; }
  bool sees() const override { return script_.sees; }
  absl::Status WarmUp() override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<engine::Conversation>> StartConversation(
      engine::ConversationOptions options) override {
    script_.last_options = std::move(options);
    auto conversation = std::make_unique<ScriptedConversation>(&script_, clock_);
    script_.conversations.push_back(conversation.get());
    return conversation;
  }
  engine::EngineStats stats() const override {
    return {.conversations = static_cast<int>(script_.conversations.size())};
  }

  // One piece of work. False: there was none.
  bool Step() {
    if (!script_.late.empty()) {
      for (op::Queued& operation : std::exchange(script_.late, {})) Cancel(operation);
      return true;
    }
    for (ScriptedConversation* conversation : script_.conversations) {
      if (!conversation->busy()) continue;
      conversation->Step();
      return true;
    }
    return false;
  }
  void HearWithoutWriting() { script_.writes = false; }
  void Hear(std::string transcript) { script_.transcripts.push_back(std::move(transcript)); }
  // What the next Transcribe gives, else "speech of <n> windows". It is done at once, or when WriteAside says
  // so.
  void HearAside(std::string transcript) { script_.aside_transcripts.push_back(std::move(transcript)); }
  void HoldAsides() { script_.hold_asides = true; }
  void SetAsideLogProbability(double mean) { script_.aside_log_probability = mean; }
  void FailAsides(absl::Status status) { script_.aside_status = std::move(status); }
  // False: nothing waits.
  bool WriteAside() { return script_.WriteAside(); }
  // Samples of each Transcribe.
  const std::vector<size_t>& asides() const { return script_.aside_samples; }
  void SetAnswerTokens(int tokens) { script_.answer_tokens = tokens; }
  void SetAnswerEnd(engine::FinishReason reason) { script_.answer_end = reason; }
  // The conversation is lost at its next piece of work.
  void FailNext(absl::Status status) { script_.fail_next = std::move(status); }
  // The next appends are refused: nothing is done, nothing is lost.
  void RefuseNext(absl::Status status, int appends = 1) {
    script_.refuse_next = std::move(status);
    script_.refusals = appends;
  }
  void SetSenses(bool hears, bool sees) {
    script_.hears = hears;
    script_.sees = sees;
  }
  const std::vector<std::vector<float>>& utterances() const { return script_.utterances; }
  // Samples of each TranscribeEarly.
  const std::vector<size_t>& early_transcriptions() const { return script_.early_transcriptions; }
  // Of the only conversation; while it lives.
  std::string History() const {
    return script_.conversations.empty() ? "gone" : script_.conversations.front()->History();
  }
  bool busy() const { return !script_.conversations.empty() && script_.conversations.front()->busy(); }
  const engine::ConversationOptions& last_options() const { return script_.last_options; }
  const engine::GenerationConfig& last_generation() const { return script_.last_generation; }
  int speculations() const { return script_.speculations; }
  int promotions() const { return script_.promotions; }

 private:
  static void Cancel(op::Queued& operation) {
    std::visit(
        []<typename Op>(Op& each) {
          if constexpr (std::is_same_v<Op, op::Answer>) {
            each.listener->OnDone({.reason = engine::FinishReason::kCancelled});
          } else if constexpr (op::HasDone<Op>) {
            each.done(absl::CancelledError("gone"));
          }
        },
        operation);
  }

  const Clock* const clock_;
  engine::EngineInfo info_;
  Script script_;
};

}  // namespace parley::streaming

// An engine that the test drives: each Step does one piece of work of the oldest conversation that has any,
// so that a whole call runs on one thread, in simulated time, in an order the test chooses.
//
// Speech is read as what Hear() queued, else "speech of <n> windows" by its length; pictures as "a picture".
// Answers are "t<answer>.<n> " for n = 1, 2, ... up to SetAnswerTokens.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "engine/api/engine.h"

namespace parley::streaming {

class ScriptedEngine;

class ScriptedConversation : public engine::Conversation {
 public:
  explicit ScriptedConversation(ScriptedEngine* engine) : engine_(engine) {}
  ~ScriptedConversation() override;

  void AppendFrame(engine::ImagePtr image, absl::Time deadline, Done<engine::FrameResult> done) override {
    ops_.push_back(
        {.run =
             [this, image = std::move(image), deadline, done = Share(std::move(done))](absl::Status status) {
               if (status.ok() && TooLate(deadline)) status = absl::DeadlineExceededError("too late");
               if (!status.ok()) return (*done)(status);
               history_.push_back({.kind = Entry::kFrame, .text = absl::StrCat("[", image->width, "]")});
               (*done)(engine::FrameResult{.description = "a picture", .tokens = 10, .times = Times()});
             },
         .append = true});
  }
  void AppendSpeech(std::vector<float> samples, Done<engine::SpeechResult> done) override;
  void HearAhead(std::vector<float> samples) override;
  void Transcribe(std::vector<float> samples, Done<engine::SpeechResult> done) override;
  void AppendText(std::string text, Done<engine::TextResult> done) override {
    ops_.push_back({.run =
                        [this, text = std::move(text), done = Share(std::move(done))](absl::Status status) {
                          if (!status.ok()) return (*done)(status);
                          history_.push_back({.kind = Entry::kText, .text = text});
                          (*done)(engine::TextResult{.tokens = 3, .times = Times()});
                        },
                    .append = true});
  }
  engine::AnswerId Answer(const engine::GenerationConfig& config,
                          std::shared_ptr<engine::AnswerListener> listener) override;
  void CancelAnswer(engine::AnswerId answer) override { cancelled_.push_back(answer); }
  void TrimAnswer(engine::AnswerId answer, int tokens) override {
    ops_.push_back({.run = [this, answer, tokens](const absl::Status&) {
      for (Entry& entry : history_) {
        if (entry.answer == answer) entry.tokens = std::min(entry.tokens, tokens);
      }
    }});
  }
  engine::MarkId Mark() override {
    const engine::MarkId mark = ++last_mark_;
    ops_.push_back({.run = [this, mark](const absl::Status&) { marks_.emplace_back(mark, history_.size()); },
                    .mark = mark});
    return mark;
  }
  // Operations between the mark and the rewind that have not begun complete with CANCELLED.
  void Rewind(engine::MarkId mark) override {
    const auto queued_mark =
        std::find_if(ops_.begin(), ops_.end(), [mark](const Op& op) { return op.mark == mark; });
    const auto first = queued_mark == ops_.end() ? ops_.begin() : queued_mark + 1;
    std::vector<Op> cancelled(std::make_move_iterator(first), std::make_move_iterator(ops_.end()));
    ops_.erase(first, ops_.end());
    for (Op& op : cancelled) {
      if (op.listener != nullptr) {
        cancelled_.push_back(op.answer);
        ops_.push_back(std::move(op));
      } else {
        ops_.push_back(
            {.run = [run = std::move(op.run)](const absl::Status&) { run(absl::CancelledError("rewound")); },
             .append = op.append});
      }
    }
    ops_.push_back({.run = [this, mark](const absl::Status&) {
      for (const auto& [id, size] : marks_) {
        if (id == mark && history_.size() > size) history_.resize(size);
      }
    }});
  }

  engine::MarkId Speculate() override;
  void Promote() override;

  bool busy() const { return !ops_.empty(); }
  void Step();
  // "U: [64] hello | A: t1.1 t1.2"
  std::string History() const;

 private:
  friend class ScriptedEngine;
  struct Op {
    std::function<void(absl::Status)> run;
    bool append = false;  // has a completion
    engine::MarkId mark = 0;
    engine::AnswerId answer = 0;
    std::shared_ptr<engine::AnswerListener> listener;
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

  template <typename Result>
  static std::shared_ptr<Done<Result>> Share(Done<Result> done) {
    return std::make_shared<Done<Result>>(std::move(done));
  }
  bool TooLate(absl::Time deadline) const;
  engine::OperationTimes Times() const;
  bool Cancelled(engine::AnswerId answer) const {
    return std::find(cancelled_.begin(), cancelled_.end(), answer) != cancelled_.end();
  }
  void FinishAnswer(Op& op, engine::FinishReason reason, const absl::Status& status);

  ScriptedEngine* const engine_;
  std::deque<Op> ops_;
  std::vector<Entry> history_;
  std::vector<std::pair<engine::MarkId, size_t>> marks_;
  std::vector<engine::AnswerId> cancelled_;
  engine::MarkId last_mark_ = 0;
  engine::AnswerId last_answer_ = 0;
  absl::Status poison_;
};

class ScriptedEngine : public engine::Engine {
 public:
  explicit ScriptedEngine(const Clock* clock) : clock_(clock) {}

  const engine::EngineInfo& info() const override { return info_; }
  bool hears() const override { return hears_; }
  bool sees() const override { return sees_; }
  absl::Status WarmUp() override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<engine::Conversation>> StartConversation(
      engine::ConversationOptions options) override {
    last_options_ = std::move(options);
    auto conversation = std::make_unique<ScriptedConversation>(this);
    conversations_.push_back(conversation.get());
    return conversation;
  }
  engine::EngineStats stats() const override {
    return {.conversations = static_cast<int>(conversations_.size())};
  }

  // One piece of work. False: there was none.
  bool Step() {
    if (!late_.empty()) {
      auto late = std::move(late_);
      late_.clear();
      for (auto& each : late) each();
      return true;
    }
    for (ScriptedConversation* conversation : conversations_) {
      if (!conversation->busy()) continue;
      conversation->Step();
      return true;
    }
    return false;
  }
  void Hear(std::string transcript) { transcripts_.push_back(std::move(transcript)); }
  // What the next Transcribe gives, else "speech of <n> windows". It is done at once, or when WriteAside says
  // so.
  void HearAside(std::string transcript) { aside_transcripts_.push_back(std::move(transcript)); }
  void HoldAsides() { hold_asides_ = true; }
  void SetAsideLogProbability(double mean) { aside_log_probability_ = mean; }
  void FailAsides(absl::Status status) { aside_status_ = std::move(status); }
  // False: nothing waits.
  bool WriteAside() {
    if (asides_.empty()) return false;
    auto aside = std::move(asides_.front());
    asides_.pop_front();
    aside();
    return true;
  }
  // Samples of each Transcribe.
  const std::vector<size_t>& asides() const { return aside_samples_; }
  void SetAnswerTokens(int tokens) { answer_tokens_ = tokens; }
  void SetAnswerEnd(engine::FinishReason reason) { answer_end_ = reason; }
  // The conversation is lost at its next piece of work.
  void FailNext(absl::Status status) { fail_next_ = std::move(status); }
  // The next appends are refused: nothing is done, nothing is lost.
  void RefuseNext(absl::Status status, int appends = 1) {
    refuse_next_ = std::move(status);
    refusals_ = appends;
  }
  void SetSenses(bool hears, bool sees) {
    hears_ = hears;
    sees_ = sees;
  }
  const std::vector<std::vector<float>>& utterances() const { return utterances_; }
  // Samples of each HearAhead.
  const std::vector<size_t>& heard_ahead() const { return heard_ahead_; }
  // Of the only conversation; while it lives.
  std::string History() const { return conversations_.empty() ? "gone" : conversations_.front()->History(); }
  bool busy() const { return !conversations_.empty() && conversations_.front()->busy(); }
  const engine::ConversationOptions& last_options() const { return last_options_; }
  const engine::GenerationConfig& last_generation() const { return last_generation_; }
  int speculations() const { return speculations_; }
  int promotions() const { return promotions_; }

 private:
  friend class ScriptedConversation;

  const Clock* const clock_;
  engine::EngineInfo info_;
  bool hears_ = true;
  bool sees_ = true;
  std::vector<ScriptedConversation*> conversations_;
  std::deque<std::string> transcripts_;
  std::vector<std::vector<float>> utterances_;
  std::vector<size_t> heard_ahead_;
  std::vector<std::function<void()>> late_;  // completions of destroyed conversations
  std::deque<std::string> aside_transcripts_;
  std::vector<size_t> aside_samples_;
  std::deque<std::function<void()>> asides_;
  bool hold_asides_ = false;
  absl::Status aside_status_;
  double aside_log_probability_ = 0;
  int answer_tokens_ = 5;
  engine::FinishReason answer_end_ = engine::FinishReason::kEndOfTurn;
  absl::Status fail_next_;
  absl::Status refuse_next_;
  int refusals_ = 0;
  engine::GenerationConfig last_generation_;
  int speculations_ = 0;
  int promotions_ = 0;
  engine::ConversationOptions last_options_;
};

inline ScriptedConversation::~ScriptedConversation() {
  std::erase(engine_->conversations_, this);
  for (Op& op : ops_) {
    if (op.listener != nullptr) {
      engine_->late_.push_back(
          [listener = op.listener] { listener->OnDone({.reason = engine::FinishReason::kCancelled}); });
    } else if (op.append) {
      engine_->late_.push_back([run = op.run] { run(absl::CancelledError("gone")); });
    }
  }
}

inline void ScriptedConversation::HearAhead(std::vector<float> samples) {
  engine_->heard_ahead_.push_back(samples.size());
}

inline void ScriptedConversation::Transcribe(std::vector<float> samples, Done<engine::SpeechResult> done) {
  engine_->aside_samples_.push_back(samples.size());
  while (engine_->WriteAside()) {  // the newest takes its place; the callers know the one they want
  }
  engine_->asides_.push_back([engine = engine_, size = samples.size(), done = Share(std::move(done))] {
    if (!engine->aside_status_.ok()) return (*done)(engine->aside_status_);
    std::string transcript = absl::StrCat("speech of ", size / 512, " windows");
    if (!engine->aside_transcripts_.empty()) {
      transcript = engine->aside_transcripts_.front();
      engine->aside_transcripts_.pop_front();
    }
    (*done)(engine::SpeechResult{
        .transcript = transcript, .language = "en", .mean_log_probability = engine->aside_log_probability_});
  });
  if (!engine_->hold_asides_) engine_->WriteAside();
}

inline void ScriptedConversation::AppendSpeech(std::vector<float> samples, Done<engine::SpeechResult> done) {
  engine_->utterances_.push_back(samples);
  ops_.push_back({.run =
                      [this, size = samples.size(), done = Share(std::move(done))](absl::Status status) {
                        if (!status.ok()) return (*done)(status);
                        std::string transcript = absl::StrCat("speech of ", size / 512, " windows");
                        if (!engine_->transcripts_.empty()) {
                          transcript = engine_->transcripts_.front();
                          engine_->transcripts_.pop_front();
                        }
                        history_.push_back({.kind = Entry::kSpeech, .text = transcript});
                        (*done)(engine::SpeechResult{
                            .transcript = transcript, .language = "en", .tokens = 4, .times = Times()});
                      },
                  .append = true});
}

inline engine::AnswerId ScriptedConversation::Answer(const engine::GenerationConfig& config,
                                                     std::shared_ptr<engine::AnswerListener> listener) {
  engine_->last_generation_ = config;
  ops_.push_back({.answer = ++last_answer_,
                  .listener = std::move(listener),
                  .limit = std::min(engine_->answer_tokens_, config.max_tokens),
                  .result = {.queued = engine_->clock_->Now(), .first_token = absl::InfiniteFuture()}});
  return last_answer_;
}

inline engine::MarkId ScriptedConversation::Speculate() {
  ++engine_->speculations_;
  return Mark();
}

inline void ScriptedConversation::Promote() { ++engine_->promotions_; }

inline bool ScriptedConversation::TooLate(absl::Time deadline) const {
  return engine_->clock_->Now() > deadline;
}

inline void ScriptedConversation::Step() {
  if (!engine_->fail_next_.ok()) poison_ = std::exchange(engine_->fail_next_, absl::OkStatus());
  Op& op = ops_.front();
  if (op.listener == nullptr) {
    Op taken = std::move(op);
    ops_.pop_front();
    const bool refused = taken.append && engine_->refusals_ > 0;
    if (refused) --engine_->refusals_;
    taken.run(refused ? engine_->refuse_next_ : poison_);
    return;
  }
  if (!poison_.ok()) return FinishAnswer(op, engine::FinishReason::kFailed, poison_);
  const bool known = std::any_of(history_.begin(), history_.end(),
                                 [&op](const Entry& entry) { return entry.answer == op.answer; });
  if (!known) history_.push_back({.kind = Entry::kAnswer, .answer = op.answer});
  if (Cancelled(op.answer)) return FinishAnswer(op, engine::FinishReason::kCancelled, absl::OkStatus());
  if (op.made == op.limit) return FinishAnswer(op, engine_->answer_end_, absl::OkStatus());
  const absl::Time now = engine_->clock_->Now();
  if (op.made++ == 0) {
    op.result.prefill_start = op.result.prefill_end = now;
    op.result.first_token = now;
  }
  op.result.last_token = now;
  for (Entry& entry : history_) {
    if (entry.answer == op.answer) entry.tokens = op.made;
  }
  op.listener->OnText(absl::StrCat("t", op.answer, ".", op.made, " "), op.made);
}

inline void ScriptedConversation::FinishAnswer(Op& op, engine::FinishReason reason,
                                               const absl::Status& status) {
  if (reason == engine::FinishReason::kCancelled && op.made == 0) {  // leaves no trace
    std::erase_if(history_, [&op](const Entry& entry) { return entry.answer == op.answer; });
  }
  Op taken = std::move(op);
  ops_.pop_front();
  taken.result.reason = reason;
  taken.result.status = status;
  taken.result.answer_tokens = taken.made;
  taken.result.turn_usage = {.speech_tokens = 4, .template_tokens = 2, .answer_tokens = taken.made};
  taken.listener->OnDone(taken.result);
}

inline engine::OperationTimes ScriptedConversation::Times() const {
  const absl::Time now = engine_->clock_->Now();
  return {.queued = now, .encode_start = now, .encode_end = now, .prefill_start = now, .prefill_end = now};
}

inline std::string ScriptedConversation::History() const {
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

}  // namespace parley::streaming

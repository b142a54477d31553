// A conversation with an engine, written down line by line: what each thing that it was given became, and
// every token of its answers.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "engine/api/engine.h"

namespace parley::engine::assembly {

class Listener final : public AnswerListener {
 public:
  void OnText(std::string text, int tokens) override {
    text_ += text;
    deltas_.push_back(absl::StrCat(tokens, ":", text));
  }
  void OnDone(const AnswerResult& result) override {
    result_ = result;
    done_.Notify();
  }
  const std::string& Wait() {
    done_.WaitForNotification();
    return text_;
  }
  const AnswerResult& result() const { return result_; }
  // After Wait: "<tokens so far>:<text>".
  const std::vector<std::string>& deltas() const { return deltas_; }

 private:
  std::string text_;
  std::vector<std::string> deltas_;
  AnswerResult result_;
  absl::Notification done_;
};

class Talk {
 public:
  // `piecewise`: each thing is done before the next one is given, as in a call; else all are given at once.
  Talk(Engine& engine, bool piecewise) : piecewise_(piecewise) {
    auto conversation = engine.StartConversation({});
    EXPECT_TRUE(conversation.ok()) << conversation.status();
    conversation_ = *std::move(conversation);
  }

  void Show(ImagePtr image) {
    conversation_->AppendFrame(std::move(image), Note<FrameResult>([](const FrameResult& result) {
                                 return absl::StrCat(result.description, " of ", result.tokens);
                               }));
    Await();
  }
  void Say(std::vector<float> samples) {
    conversation_->AppendSpeech(std::move(samples), Note<SpeechResult>([](const SpeechResult& result) {
                                  return absl::StrCat(result.transcript, " of ", result.tokens);
                                }));
    Await();
  }
  void Type(std::string text) {
    conversation_->AppendText(std::move(text), Note<TextResult>([](const TextResult& result) {
                                return absl::StrCat("text of ", result.tokens);
                              }));
    Await();
  }
  void Answer(int max_tokens) {
    answers_.push_back(std::make_shared<Listener>());
    conversation_->Answer({.max_tokens = max_tokens}, answers_.back());
    if (piecewise_) answers_.back()->Wait();
  }

  // Waits for everything.
  std::vector<std::string> Lines() {
    std::vector<std::string> lines;
    for (const std::unique_ptr<Piece>& piece : pieces_) {
      piece->done.WaitForNotification();
      lines.push_back(piece->line);
    }
    for (const std::shared_ptr<Listener>& answer : answers_) {
      answer->Wait();
      EXPECT_TRUE(answer->result().status.ok()) << answer->result().status;
      lines.push_back(
          absl::StrCat(absl::StrJoin(answer->deltas(), "|"), " of ", answer->result().context_tokens));
    }
    return lines;
  }

 private:
  struct Piece {
    std::string line;
    absl::Notification done;
  };

  template <typename Result>
  Done<Result> Note(std::function<std::string(const Result&)> line) {
    Piece* piece = pieces_.emplace_back(std::make_unique<Piece>()).get();
    return [piece, line = std::move(line)](absl::StatusOr<Result> result) {
      piece->line = result.ok() ? line(*result) : result.status().ToString();
      piece->done.Notify();
    };
  }
  void Await() {
    if (piecewise_) pieces_.back()->done.WaitForNotification();
  }

  const bool piecewise_;
  std::vector<std::unique_ptr<Piece>> pieces_;
  std::vector<std::shared_ptr<Listener>> answers_;
  std::unique_ptr<Conversation> conversation_;  // goes first: what is left completes into the others
};

}  // namespace parley::engine::assembly

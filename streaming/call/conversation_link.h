// The call's hold on its conversation: operations in, completions posted to the call's loop, and Close frees
// the conversation from any thread while the loop may be about to use it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/api/conversation.h"
#include "streaming/call/call_loop.h"

namespace parley::streaming {

// Thread-safe. Before Open and after Close every operation is a no-op and no completion comes.
class ConversationLink {
 public:
  explicit ConversationLink(std::shared_ptr<CallLoop> loop) : loop_(std::move(loop)) {}

  void Open(std::unique_ptr<engine::Conversation> conversation) {
    absl::MutexLock lock(&mutex_);
    conversation_ = std::move(conversation);
  }

  void AppendFrame(engine::ImagePtr image, absl::Time deadline,
                   engine::Conversation::Done<engine::FrameResult> done) {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->AppendFrame(std::move(image), deadline, OnLoop(std::move(done)));
  }
  void AppendSpeech(std::vector<float> samples, engine::Conversation::Done<engine::SpeechResult> done) {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->AppendSpeech(std::move(samples), OnLoop(std::move(done)));
  }
  void HearAhead(std::vector<float> samples) {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->HearAhead(std::move(samples));
  }
  void Transcribe(std::vector<float> samples, engine::Conversation::Done<engine::SpeechResult> done) {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->Transcribe(std::move(samples), OnLoop(std::move(done)));
  }
  void AppendText(std::string text, engine::Conversation::Done<engine::TextResult> done) {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->AppendText(std::move(text), OnLoop(std::move(done)));
  }
  engine::AnswerId Answer(const engine::GenerationConfig& config,
                          std::shared_ptr<engine::AnswerListener> listener) {
    absl::MutexLock lock(&mutex_);
    return conversation_ ? conversation_->Answer(config, std::move(listener)) : 0;
  }
  void CancelAnswer(engine::AnswerId answer) {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->CancelAnswer(answer);
  }
  void TrimAnswer(engine::AnswerId answer, int tokens) {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->TrimAnswer(answer, tokens);
  }
  engine::MarkId Mark() {
    absl::MutexLock lock(&mutex_);
    return conversation_ ? conversation_->Mark() : 0;
  }
  void Rewind(engine::MarkId mark) {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->Rewind(mark);
  }
  engine::MarkId Speculate() {
    absl::MutexLock lock(&mutex_);
    return conversation_ ? conversation_->Speculate() : 0;
  }
  void Promote() {
    absl::MutexLock lock(&mutex_);
    if (conversation_) conversation_->Promote();
  }
  void Close() {
    std::unique_ptr<engine::Conversation> conversation;  // destroyed without the lock
    absl::MutexLock lock(&mutex_);
    conversation.swap(conversation_);
  }

 private:
  template <typename Result>
  engine::Conversation::Done<Result> OnLoop(engine::Conversation::Done<Result> done) {
    return [loop = loop_, done = std::move(done)](absl::StatusOr<Result> result) mutable {
      loop->Post([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
    };
  }

  const std::shared_ptr<CallLoop> loop_;
  absl::Mutex mutex_;
  std::unique_ptr<engine::Conversation> conversation_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley::streaming

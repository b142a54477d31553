// The call's hold on its conversation: operations in, completions posted to the call's loop, and Close frees
// the conversation from any thread while the loop may be about to use it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/api/conversation.h"
#include "streaming/call/call_loop.h"

namespace parley::streaming {

// Thread-safe. Before Open and after Close every operation is a no-op and no completion comes.
class ConversationLink final : public engine::Conversation {
 public:
  explicit ConversationLink(std::shared_ptr<CallLoop> loop) : loop_(std::move(loop)) {}

  void Open(std::unique_ptr<engine::Conversation> conversation) {
    absl::MutexLock lock(&mutex_);
    conversation_ = std::move(conversation);
  }

  // Completions come on the loop. An answer's listener is called where the engine calls it.
  uint64_t Submit(engine::Operation operation) override {
    const auto complete_on_loop = [this](auto& each) { CompleteOnLoop(each); };
    std::visit([&](auto& kind) { std::visit(complete_on_loop, kind); }, operation);
    absl::MutexLock lock(&mutex_);
    return conversation_ ? conversation_->Submit(std::move(operation)) : 0;
  }

  void Close() {
    std::unique_ptr<engine::Conversation> conversation;  // destroyed without the lock
    absl::MutexLock lock(&mutex_);
    conversation.swap(conversation_);
  }

 private:
  template <typename Op>
  void CompleteOnLoop(Op& operation) {
    if constexpr (engine::op::HasDone<Op>) operation.done = OnLoop(std::move(operation.done));
  }
  template <typename Result>
  engine::Done<Result> OnLoop(engine::Done<Result> done) {
    return [loop = loop_, done = std::move(done)](absl::StatusOr<Result> result) mutable {
      loop->Post([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
    };
  }

  const std::shared_ptr<CallLoop> loop_;
  absl::Mutex mutex_;
  std::unique_ptr<engine::Conversation> conversation_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley::streaming

// llama.cpp as its server runs it: requests in slots, one batch a step with a token of every answer under way
// and then the prompts' tokens (continuous batching), a slot's keys and values kept for what its next prompt
// has in common with the last.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "bench/peers/llama_cpp.h"
#include "engine/text/token.h"

namespace parley::bench {

// Thread-safe.
class LlamaServer {
 public:
  struct Request {
    int slot = 0;  // one request a slot at a time
    std::vector<engine::TokenId> prompt;
    // Takes the next token, greedily chosen; false: that was the last. Called on the server's thread.
    std::function<bool(engine::TokenId)> on_token;
    // The model failed; nothing more comes.
    std::function<void(const absl::Status&)> on_error;
  };

  // `model` was started with `slots` slots.
  LlamaServer(std::unique_ptr<LlamaCpp> model, int slots);
  // REQUIRES: no request is under way.
  ~LlamaServer();

  void Submit(Request request) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Work {
    Request request;
    size_t filled = 0;  // of the prompt, in the slot
    std::vector<engine::TokenId> last;
  };

  void Run();
  void Begin(Request request);
  void Step();

  const std::unique_ptr<LlamaCpp> model_;
  // The server's thread's.
  std::vector<std::vector<engine::TokenId>> held_;  // by slot
  std::vector<Work> work_;
  std::vector<GreedyModel::Rows> rows_;
  std::vector<size_t> stepping_;  // of work_, as rows_

  absl::Mutex mutex_;
  std::vector<Request> submitted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace parley::bench

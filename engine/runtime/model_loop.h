// What the model thread does, over and over: takes what the conversations were asked, plans a step, does it.
// Driven by a thread in the engine and by hand in tests.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "engine/model/model.h"
#include "engine/runtime/conversation_worker.h"
#include "engine/runtime/inbox.h"
#include "engine/runtime/prompt_cache.h"
#include "engine/runtime/runtime_engine.h"
#include "engine/schedule/call_load.h"
#include "engine/schedule/page_budget.h"
#include "engine/schedule/step_planner.h"

namespace parley::engine {

class ModelLoop {
 public:
  // `model` and `clock` must outlive the loop.
  ModelLoop(Model* model, const RuntimeOptions& options, const Clock* clock);
  // REQUIRES: nobody drives it any more.
  ~ModelLoop();

  // Any thread. See Engine::StartConversation.
  absl::StatusOr<std::shared_ptr<Inbox>> Open(const ConversationOptions& options) ABSL_LOCKS_EXCLUDED(mutex_);
  // Any thread: something was put into an inbox.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_);
  EngineStats stats() const ABSL_LOCKS_EXCLUDED(mutex_);

  // The driving thread only. One pass: at most one pass of an encoder and one step. False when there was
  // neither to do now.
  bool RunOnce() ABSL_LOCKS_EXCLUDED(mutex_);
  // The driving thread only. RunOnce until Stop; sleeps while there is nothing to do, or to be done yet.
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // Any thread.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Every conversation takes what came for it, and begins and completes what needs no model.
  void ProcessInboxes() ABSL_LOCKS_EXCLUDED(mutex_);
  // One pass of an encoder for all of them. False: all of it was early transcription.
  bool RunEncoder(const std::vector<schedule::WorkId>& ids);
  void CountContexts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the conversation has the pages for its rows of the next step; if not it has evicted something.
  bool Reserve(ConversationWorker* worker, int rows) ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns the work that it was: its time, or what its rows would take in a step of many.
  absl::Duration Step(const schedule::StepPlan& plan) ABSL_LOCKS_EXCLUDED(mutex_);
  void EndPass(const schedule::StepPlan& plan, absl::Time began, absl::Duration work)
      ABSL_LOCKS_EXCLUDED(mutex_);

  Model* const model_;
  const RuntimeOptions options_;
  const Clock* const clock_;

  // The driving thread's.
  schedule::StepPlanner planner_;
  PromptCache prompts_;
  std::map<schedule::WorkId, std::unique_ptr<ConversationWorker>> workers_;
  std::vector<StepEntry> entries_;
  std::vector<ConversationWorker*> stepping_;
  absl::Time resume_ = absl::InfiniteFuture();  // see StepPlan
  std::vector<bool> pool_short_;                // by worker, in order

  mutable absl::Mutex mutex_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  schedule::WorkId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<ConversationWorker>> opened_ ABSL_GUARDED_BY(mutex_);  // not yet in workers_
  schedule::PageBudget budget_ ABSL_GUARDED_BY(mutex_);
  int64_t last_promised_ ABSL_GUARDED_BY(mutex_);        // pages, to the conversation opened last
  ContextKeeper::Counts ended_ ABSL_GUARDED_BY(mutex_);  // of conversations that are gone
  EngineStats stats_ ABSL_GUARDED_BY(mutex_);
  schedule::CallLoad load_ ABSL_GUARDED_BY(mutex_);
  absl::Time pass_began_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();  // that one: none
  absl::Time last_token_pass_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace parley::engine

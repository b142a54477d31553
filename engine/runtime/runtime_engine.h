// The engine on any Model: queues, batching, prompt assembly, answers, cancellation.
#pragma once

#include <memory>

#include "base/clock.h"
#include "engine/api/engine.h"
#include "engine/model/model.h"
#include "engine/runtime/context_keeper.h"
#include "engine/schedule/step_planner.h"

namespace parley::engine {

struct RuntimeOptions {
  int max_conversations = 64;
  // A conversation's operations given and not yet complete. One more completes at once with
  // RESOURCE_EXHAUSTED; it does not poison the conversation, and nothing of it enters the history.
  int max_queued_operations = 256;
  // What a conversation can always hold, beside its system prompt: a turn and its answer. A conversation for
  // which the pages for it cannot be kept is refused.
  int promised_tokens = 512;
  int cached_prompts = 8;  // system prompts that are kept prefilled for the next conversation
  ContextLimits context;
  schedule::StepLimits step;
};

// Starts the model thread, the only one that runs `model`. `clock` must outlive the engine.
std::unique_ptr<Engine> MakeRuntimeEngine(Model model, const RuntimeOptions& options, const Clock* clock);

}  // namespace parley::engine

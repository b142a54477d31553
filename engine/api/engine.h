// The engine: loaded once, immutable, shared by all calls.
#pragma once

#include <limits>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/api/conversation.h"
#include "engine/api/distribution.h"

namespace parley::engine {

// What is loaded, for people and for parley.v1.ModelInfo.
struct EngineInfo {
  std::string bundle;
  std::string language_model;
  std::string audio_encoder;
  std::string vision_encoder;
  std::string speech_detector;
  std::string arithmetic;  // "fp32", "bf16", "int8" or "int16", with what it was chosen for
  std::string device;      // "cpu, 2 threads, avx2"
  int context_tokens = 0;  // the most a conversation can hold
};

// What the engine counts; a snapshot.
struct EngineStats {
  int conversations = 0;
  int queued_operations = 0;
  int64_t kv_bytes = 0;
  // Pages of the KV cache: all there may be (0: the cache is not paged), those in use, and of these the ones
  // that several hold (conversations with the same system prompt, and the engine's own copy of it).
  int64_t kv_pages = 0;
  int64_t kv_pages_in_use = 0;
  int64_t kv_pages_shared = 0;
  int64_t frames_forgotten = 0;  // see ContextPolicy
  int64_t compactions = 0;
  // Of the language model's steps since start: the time each took, seconds; the conversations it served; the
  // rows (tokens) it held.
  Distribution step_seconds{{.002, .005, .01, .02, .03, .04, .06, .08, .1, .15, .2, .3, .5, 1, 2, 5}};
  Distribution step_conversations{{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128}};
  Distribution step_rows{{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}};
  int64_t speculative_rows = 0;  // of step_rows, for what nobody waited for yet
  int64_t prefilled_tokens = 0;
  int64_t generated_tokens = 0;
  // How long the model thread has been in the step or encoder pass it is in; zero between them. A device that
  // hangs shows by it.
  absl::Duration pass_age;
  // The time from one token to the next of an answer that is awaited, smoothed over about 16 of them. Falls
  // by half every two seconds in which no answer is made.
  absl::Duration token_interval;
  // The share of the device's time that a conversation takes, on average of the last half minute.
  double conversation_load = 0;
  // How many more like the last one StartConversation would take.
  int room = std::numeric_limits<int>::max();
};

// Thread-safe. Must outlive its conversations.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual const EngineInfo& info() const = 0;
  // Whether this bundle takes the kind of input.
  virtual bool hears() const = 0;
  virtual bool sees() const = 0;
  // Does one turn of every kind, so that the first call finds everything paged in and every kernel chosen.
  virtual absl::Status WarmUp() = 0;
  // RESOURCE_EXHAUSTED when it cannot hold another one, or cannot keep the pages it would be promised (its
  // system prompt, a turn and an answer); INVALID_ARGUMENT when the instructions do not fit.
  virtual absl::StatusOr<std::unique_ptr<Conversation>> StartConversation(ConversationOptions options) = 0;
  virtual EngineStats stats() const = 0;
};

}  // namespace parley::engine

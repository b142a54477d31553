// Loads a bundle into the real engine. The only header of this folder that others include: no Torch in it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/api/engine.h"
#include "engine/api/speech_detector.h"

namespace parley::engine {

struct LoadOptions {
  std::string bundle_dir;  // the folder that holds parley.json
  int threads = 0;         // of tensor arithmetic; 0: as many as the machine has
  // "fp32", "bf16", "int8", "int16", or "auto" (engine/torch/arithmetic.h).
  std::string arithmetic = "auto";
  // Of the KV cache, all conversations together; 0: a quarter of the memory that is free now. A language
  // model whose widths our kernels do not take runs in LibTorch, without pages: nothing limits it there but
  // the number of conversations.
  int64_t kv_bytes = 0;
  std::string kv_format =
      "auto";  // "fp32", "fp16", "int8": half the memory a token; auto: fp32 in fp32, else fp16
  int max_conversations = 64;
};

struct LoadedBundle {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<SpeechDetector> speech_detector;  // null when the bundle has none
};

// Reads and checks everything, which takes seconds; `clock` must outlive the result. Errors name the file and
// the reason: NOT_FOUND (missing), DATA_LOSS (short, corrupt), UNIMPLEMENTED (a kind this build does not
// know), INVALID_ARGUMENT (options). Call once a process: the tensor threads are set process-wide.
absl::StatusOr<LoadedBundle> LoadTorchBundle(const LoadOptions& options, const Clock* clock);

}  // namespace parley::engine

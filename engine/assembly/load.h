// Turns a bundle into an engine.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/api/engine.h"
#include "engine/api/speech_detector.h"
#include "engine/assembly/kinds.h"

namespace parley::engine::assembly {

struct LoadOptions {
  std::string bundle_dir;  // the folder that holds parley.json
  // Of the language model. The other parts run on the processor where the device has no form of them.
  std::string device = "cpu";
  int threads = 0;  // of the processor; 0: as many as the machine, or the container's quota, has
  // "fp32", "bf16", "int8", "int16", or "auto" (arithmetic.h).
  std::string arithmetic = "auto";
  int64_t kv_bytes =
      0;  // of the KV cache, all conversations together; 0: a quarter of the memory that is free now
  std::string kv_format =
      "auto";  // "fp32", "fp16", "int8": half the memory a token; auto: fp32 in fp32, else fp16
  int max_conversations = 64;
};

struct LoadedBundle {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<SpeechDetector> speech_detector;  // null when the bundle has none
  std::vector<std::string> warnings;                // for whoever keeps the bundle
};

// Reads and checks everything, which takes seconds; `clock` must outlive the result. Errors name the file and
// the reason: NOT_FOUND (missing), DATA_LOSS (short, corrupt), UNIMPLEMENTED (a kind or a device this build
// does not know), INVALID_ARGUMENT (options).
absl::StatusOr<LoadedBundle> LoadBundle(const LoadOptions& options, const Kinds& kinds, const Clock* clock);

}  // namespace parley::engine::assembly

// What one would wire up from the peers for a video call, as an engine behind Parley's own server: a
// transcriber that works when the user has finished, and llama.cpp's continuous batching after it. It has the
// server's media decoding, speech detector and picture labels for nothing; what it lacks is the engine.
//
//   frames    labelled on arrival, on a thread of their own; their words wait for the question
//   speech    one utterance at a time, in order, by the fastest transcriber on this machine, with all threads
//   answers   see LlamaServer; greedy, whatever the configuration says; no stop strings
//   Speculate, Promote    a mark, nothing
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bench/harness.h"
#include "bench/peers/llama_server.h"
#include "bench/peers/transcribers.h"
#include "engine/api/engine.h"
#include "engine/bundle/manifest.h"

namespace parley::bench {

struct CompositionParts {
  std::string language_model;  // its name, for people
  std::unique_ptr<LlamaCpp> llama;
  Transcriber transcriber;
  int threads = 1;  // of the labels
};

inline constexpr int kCompositionTokens = 2048;  // that a conversation may hold

// `parts.llama` is started here, with `conversations` slots. The prompts' layout, the tokenizer and the
// labels are the bundle's.
absl::StatusOr<std::unique_ptr<engine::Engine>> MakeComposition(
    CompositionParts parts, int conversations, const engine::bundle::BundleManifest& manifest);

}  // namespace parley::bench

// llama.cpp as a peer: release v0.5.0 as npm's @node-llama-cpp/linux-x64 3.22.1 ships it, libraries without
// headers, loaded at run time from the folder that bench/peers/install made. It chooses its own library for
// this processor, keeps a pool of threads of its own, and runs with its defaults otherwise: flash attention
// where it has it, fp16 keys and values, one stream of them a sequence.
//
// One process holds one copy of the libraries. Used by one thread at a time; the library itself runs on a
// thread of its own (see LlamaCppOnItsThread).
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/greedy_model.h"
#include "bench/harness.h"

namespace parley::bench {

// llama.cpp's numbers for the type of a file's matrices.
enum class LlamaFileType : int { kQ4_0 = 2, kQ8_0 = 7 };

// kDefault is llama.cpp's own choice: flash attention. It prefills faster; without it, one conversation may
// decode faster.
enum class LlamaAttention : int { kDefault = -1, kPlain = 0 };

class LlamaCpp : public GreedyModel {
 public:
  // `folder` holds libllama. NOT_FOUND, INTERNAL: what could not be loaded.
  static absl::StatusOr<std::unique_ptr<LlamaCpp>> Load(const std::string& folder, const std::string& gguf,
                                                        int threads, LlamaAttention attention);
  // A slot forgets what it holds from its `length`th token on.
  virtual void Truncate(int slot, int length) = 0;

  // Writes `to`, the weights of `from` in another type.
  static absl::Status Quantize(const std::string& folder, const std::string& from, const std::string& to,
                               LlamaFileType type);
};

// The weights of `gguf` in another type, made once; a newer `gguf` makes them anew.
absl::StatusOr<std::string> RequantisedFile(const SuiteOptions& options, const std::string& gguf,
                                            LlamaFileType type);

}  // namespace parley::bench

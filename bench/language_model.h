// The two sides of the suites that compare language models: ours, in this machine's arithmetic and in int8,
// and llama.cpp on the same file in three formats.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/greedy_model.h"
#include "bench/harness.h"
#include "bench/machine_limits.h"
#include "bench/peers/llama_cpp.h"
#include "engine/bundle/language_model_files.h"
#include "engine/model/arithmetic.h"
#include "engine/model/language_model.h"

namespace parley::bench {

class LanguageModelSides {
 public:
  // Loads both sides. llama.cpp's Q4_0 and Q8_0 files are made of the bundle's the first time.
  static absl::StatusOr<std::unique_ptr<LanguageModelSides>> Load(const SuiteOptions& options);

  // What must hold before anything is timed, teacher-forced on 32 greedy tokens that LibTorch writes in fp32
  // after each of some chat prompts:
  //   - ours, and llama.cpp on the file as it is, choose fp32's token wherever fp32's score leads the next
  //     by more than kSureLead, and at least 90 times in 100 everywhere;
  //   - llama.cpp on its requantised files, which are other weights, does at least 60 times in 100.
  // Equal tokens everywhere cannot be asked: llama.cpp rounds activations to 8 bits, so where two tokens are
  // nearly as likely it may choose the other ("The" and "L'" after "What is the capital of France?" are 0.09
  // apart).
  absl::Status CheckTheySayTheSame();

  // Ours in one arithmetic. The first is what the server takes by itself. The others are more like llama.cpp,
  // which rounds activations to 8 bits.
  struct Ours {
    std::string suffix;  // of its figures' names
    engine::Arithmetic arithmetic;
    std::string description;
    std::unique_ptr<engine::LanguageModel> model;
    std::unique_ptr<GreedyModel> greedy;
    double agreement = 0;  // share of fp32's teacher-forced tokens
  };
  const std::vector<Ours>& ours() const { return ours_; }
  // Against the best of the peers.
  absl::StatusOr<Comparison> Compare(const Ours& ours,
                                     const std::function<absl::StatusOr<double>(GreedyModel&)>& time,
                                     Better better) const;
  // One model step of the timed work, for its floor.
  struct Work {
    int rows = 0;         // tokens
    int scored_rows = 0;  // those whose scores are asked
    int sequences = 0;
    double attended = 0;  // tokens that a row attends to, on average
  };
  // In tokens/s, `step.rows` of them a step.
  Figure MakeFigure(const Ours& ours, const std::string& suite, const std::string& name,
                    const Comparison& comparison, const Work& step) const;

 private:
  struct Peer {
    std::string name;  // of its format and attention
    std::unique_ptr<LlamaCpp> model;
    double agreement = 0;  // share of teacher-forced tokens
  };

  explicit LanguageModelSides(const SuiteOptions& options) : options_(options) {}
  absl::Status LoadOurs(const std::string& suffix, const std::string& arithmetic);
  absl::Status LoadPeers();
  absl::StatusOr<std::vector<std::vector<engine::TokenId>>> Prompts() const;
  // Seconds that a step takes at least.
  double StepFloor(engine::Arithmetic arithmetic, const Work& step) const;

  const SuiteOptions options_;
  std::string gguf_;
  std::shared_ptr<const engine::bundle::LanguageModelFiles> files_;
  std::vector<Ours> ours_;
  std::vector<Peer> peers_;  // the first reads the file as it is
  MachineLimits machine_;
};

}  // namespace parley::bench

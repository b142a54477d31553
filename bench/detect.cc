// Suite `detect`: microseconds a 32 ms window of 1, 8 and 64 calls, ours in one batch against silero_vad.jit
// run by LibTorch, one call of it a window and a copy of it a conversation, as it keeps its state in itself.
// One thread each.
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/harness.h"
#include "bench/wav.h"
#include "engine/bundle/safetensors.h"
#include "engine/silero/silero.h"

namespace parley::bench {
namespace {

using engine::SpeechDetector;

constexpr int kWindow = SpeechDetector::kWindowSamples;
constexpr int kWindowsARun = 1024;  // of all calls together
constexpr float kSame = 1e-3f;

// One side: the same audio for every call, each a few windows ahead of the one before.
class Detector {
 public:
  virtual ~Detector() = default;
  // Begins anew with `calls` calls.
  virtual absl::Status Start(int calls) = 0;
  // windows[call]: the next kWindow samples of each call -> its probability.
  virtual absl::Status Detect(absl::Span<const float* const> windows, absl::Span<float> probabilities) = 0;
};

class OurDetector final : public Detector {
 public:
  static absl::StatusOr<std::unique_ptr<OurDetector>> Load(const std::string& path) {
    const auto weights = engine::bundle::Safetensors::Open(path);
    if (!weights.ok()) return weights.status();
    auto detector = engine::silero::Load(*weights);
    if (!detector.ok()) return detector.status();
    return std::unique_ptr<OurDetector>(new OurDetector(*std::move(detector)));
  }

  absl::Status Start(int calls) override {
    states_.clear();
    for (int i = 0; i < calls; ++i) states_.push_back(detector_->NewState());
    return absl::OkStatus();
  }
  absl::Status Detect(absl::Span<const float* const> windows, absl::Span<float> probabilities) override {
    batch_.clear();
    for (size_t i = 0; i < windows.size(); ++i) {
      batch_.push_back({states_[i].get(), absl::MakeConstSpan(windows[i], kWindow)});
    }
    if (absl::Status status = detector_->Detect(absl::MakeSpan(batch_)); !status.ok()) return status;
    for (size_t i = 0; i < windows.size(); ++i) probabilities[i] = batch_[i].probability;
    return absl::OkStatus();
  }

 private:
  explicit OurDetector(std::unique_ptr<SpeechDetector> detector) : detector_(std::move(detector)) {}
  const std::unique_ptr<SpeechDetector> detector_;
  std::vector<std::unique_ptr<SpeechDetector::State>> states_;
  std::vector<SpeechDetector::Window> batch_;
};

// `batched`: all windows in one call of it. Its users' calls each come when their own audio does, so that is
// no peer; its figure stands in `setting`.
class ScriptDetector final : public Detector {
 public:
  ScriptDetector(torch::jit::Module module, bool batched) : module_(std::move(module)), batched_(batched) {}

  absl::Status Start(int calls) override {
    const int copies = batched_ ? 1 : calls;
    while (static_cast<int>(modules_.size()) < copies) modules_.push_back(module_.deepcopy());
    for (int i = 0; i < copies; ++i) modules_[i].get_method("reset_states")({});
    return absl::OkStatus();
  }
  absl::Status Detect(absl::Span<const float* const> windows, absl::Span<float> probabilities) override {
    const c10::InferenceMode inference;
    const auto count = static_cast<int64_t>(windows.size());
    if (batched_) {
      const at::Tensor x = at::empty({count, kWindow});
      for (int64_t i = 0; i < count; ++i) std::copy_n(windows[i], kWindow, x.data_ptr<float>() + i * kWindow);
      const at::Tensor out = modules_[0].forward({x, 16000}).toTensor();
      std::copy_n(out.data_ptr<float>(), count, probabilities.data());
      return absl::OkStatus();
    }
    for (int64_t i = 0; i < count; ++i) {
      const at::Tensor x = at::from_blob(const_cast<float*>(windows[i]), {1, kWindow});
      probabilities[i] = modules_[i].forward({x, 16000}).toTensor().item<float>();
    }
    return absl::OkStatus();
  }

 private:
  const torch::jit::Module module_;
  const bool batched_;
  std::vector<torch::jit::Module> modules_;
};

// The windows of call `call` at step `step` of audio that goes round.
const float* WindowOf(const std::vector<float>& audio, int call, int step) {
  const int windows = static_cast<int>(audio.size()) / kWindow;
  return audio.data() + static_cast<size_t>((call * 7 + step) % windows) * kWindow;
}

absl::StatusOr<std::vector<float>> Probabilities(Detector& detector, const std::vector<float>& audio,
                                                 int calls, int steps) {
  if (absl::Status status = detector.Start(calls); !status.ok()) return status;
  std::vector<float> all(static_cast<size_t>(calls) * steps);
  std::vector<const float*> windows(calls);
  for (int step = 0; step < steps; ++step) {
    for (int call = 0; call < calls; ++call) windows[call] = WindowOf(audio, call, step);
    const absl::Status status =
        detector.Detect(windows, absl::MakeSpan(all).subspan(static_cast<size_t>(step) * calls, calls));
    if (!status.ok()) return status;
  }
  return all;
}

absl::Status CheckTheyHearTheSame(Detector& ours, Detector& peer, const std::vector<float>& audio,
                                  int calls) {
  constexpr int kSteps = 200;
  const auto a = Probabilities(ours, audio, calls, kSteps);
  if (!a.ok()) return a.status();
  const auto b = Probabilities(peer, audio, calls, kSteps);
  if (!b.ok()) return b.status();
  float worst = 0;
  for (size_t i = 0; i < a->size(); ++i) worst = std::max(worst, std::abs((*a)[i] - (*b)[i]));
  if (worst <= kSame) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("probabilities differ by up to ", worst, ": nothing is timed"));
}

absl::StatusOr<double> MicrosecondsAWindow(Detector& detector, const std::vector<float>& audio, int calls) {
  const int steps = kWindowsARun / calls;
  const double start = Now();
  const absl::StatusOr<std::vector<float>> all = Probabilities(detector, audio, calls, steps);
  if (!all.ok()) return all.status();
  return 1e6 * (Now() - start) / (static_cast<double>(steps) * calls);
}

absl::Status Measure(const SuiteOptions& options) {
  const auto audio = ReadWav(options.peers_dir + "/speech/10s.wav");
  if (!audio.ok()) return audio.status();
  const auto ours = OurDetector::Load(options.model_dir + "/speech_detector/model.safetensors");
  if (!ours.ok()) return ours.status();
  torch::jit::Module module = torch::jit::load(options.peers_dir + "/models/silero_vad.jit");
  module.eval();
  ScriptDetector one_by_one(module, false);
  ScriptDetector batched(module, true);
  for (Detector* peer : {&one_by_one, &batched}) {
    if (absl::Status status = CheckTheyHearTheSame(**ours, *peer, *audio, 8); !status.ok()) return status;
  }
  for (int calls : {1, 8, 64}) {
    const absl::StatusOr<std::vector<double>> medians =
        Alternate({[&] { return MicrosecondsAWindow(**ours, *audio, calls); },
                   [&] { return MicrosecondsAWindow(one_by_one, *audio, calls); },
                   [&] { return MicrosecondsAWindow(batched, *audio, calls); }},
                  {.seconds = options.seconds});
    if (!medians.ok()) return medians.status();
    Figure figure = {.suite = "detect", .name = absl::StrCat("calls_", calls), .ours = (*medians)[0]};
    figure.unit = "us a window";
    figure.better = Better::kLower;
    figure.peer = (*medians)[1];
    figure.peer_name = "silero_vad.jit 6.2.3 by LibTorch";
    figure.setting = {{"threads", 1}, {"peer_in_one_batch", (*medians)[2]}};
    Print(figure);
  }
  return absl::OkStatus();
}

absl::Status Detect(const SuiteOptions& options) {
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
  try {
    return Measure(options);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "Speech detection, against Silero's TorchScript.",
                                  parley::bench::Detect);
}

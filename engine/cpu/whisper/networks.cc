#include "engine/cpu/whisper/networks.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/cpu/whisper/decoder.h"
#include "engine/cpu/whisper/encoder.h"
#include "engine/cpu/whisper/layer_runner.h"
#include "engine/cpu/whisper/layers.h"
#include "engine/kernels/attention.h"

namespace parley::engine::cpu {
namespace {

struct CpuWindow final : whisper::Networks::Window {
  Floats x;  // [positions, width]
  int positions = 0;
  int layers_done = 0;
  WhisperDecoder::Cache cache;
};

class CpuNetworks final : public whisper::Networks {
 public:
  CpuNetworks(LayerReader* reader, const whisper::Config& config, Arithmetic arithmetic, int threads)
      : runner_(threads, arithmetic),
        encoder_(reader, config, &runner_),
        decoder_(reader, config, &runner_) {}

  absl::StatusOr<std::unique_ptr<Window>> Begin(absl::Span<const float> samples) override {
    auto window = std::make_unique<CpuWindow>();
    window->positions = encoder_.Begin(samples, window->x);
    return window;
  }

  absl::Status EncodeLayer(Window& window) override {
    auto& mine = static_cast<CpuWindow&>(window);
    encoder_.Layer(mine.layers_done++, mine.positions, mine.x.data());
    return absl::OkStatus();
  }

  absl::Status EndEncoding(Window& window) override {
    auto& mine = static_cast<CpuWindow&>(window);
    encoder_.End(mine.positions, mine.x.data());
    mine.cache = decoder_.Begin(mine.positions, mine.x.data());
    mine.x = Floats();
    return absl::OkStatus();
  }

  absl::Status Decode(absl::Span<const Entry> entries) override {
    entries_.clear();
    for (const Entry& entry : entries) {
      entries_.push_back({&static_cast<CpuWindow*>(entry.window)->cache, entry.tokens, entry.after_first,
                          entry.after_last, entry.scored});
    }
    decoder_.Step(entries_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<float>> Alignment(const Window& window, int first, int tokens) override {
    return decoder_.Align(static_cast<const CpuWindow&>(window).cache, first, tokens);
  }

  void TakeBack(Window& window, int tokens) override {
    KeyValues& said = static_cast<CpuWindow&>(window).cache.said;
    said.Resize(said.tokens() - tokens);
  }

 private:
  LayerRunner runner_;
  WhisperEncoder encoder_;
  WhisperDecoder decoder_;
  std::vector<WhisperDecoder::Entry> entries_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<whisper::Networks>> LoadWhisperNetworks(const bundle::Safetensors& weights,
                                                                       const whisper::Config& config,
                                                                       Arithmetic arithmetic, int threads) {
  for (const int heads : {config.encoder_heads, config.decoder_heads}) {
    if (config.width / heads > kernels::kMaxHeadDim) {
      return absl::InvalidArgumentError(absl::StrCat("Whisper's heads of ", config.width / heads,
                                                     "; the CPU kernels take at most ",
                                                     kernels::kMaxHeadDim));
    }
  }
  LayerReader reader(&weights, arithmetic);
  auto networks = std::make_unique<CpuNetworks>(&reader, config, arithmetic, threads);
  if (!reader.status().ok()) return reader.status();
  return networks;
}

}  // namespace parley::engine::cpu

#include "engine/torch/whisper/networks.h"

#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>

#include <exception>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "engine/cpu/whisper/log_mel.h"
#include "engine/torch/weights.h"
#include "engine/torch/whisper/decoder.h"
#include "engine/torch/whisper/encoder.h"

namespace parley::engine::whisper {
namespace {

struct TorchWindow final : Networks::Window {
  at::Tensor hidden;  // [positions, width]
  int layers_done = 0;
  Decoder::Cache cache;
};

class TorchNetworks final : public Networks {
 public:
  TorchNetworks(const Config& config, Encoder encoder, Decoder decoder)
      : mel_bins_(config.mel_bins),
        log_mel_(config.mel_bins),
        encoder_(std::move(encoder)),
        decoder_(std::move(decoder)) {}

  absl::StatusOr<std::unique_ptr<Window>> Begin(absl::Span<const float> samples) override {
    auto window = std::make_unique<TorchWindow>();
    const absl::Status status = Catch([&] {
      std::vector<float> frames = log_mel_.Compute(samples);
      window->hidden =
          encoder_.Begin(at::from_blob(frames.data(), {cpu::LogMel::Frames(samples), mel_bins_}, at::kFloat)
                             .t()
                             .contiguous());
    });
    if (!status.ok()) return status;
    return window;
  }

  absl::Status EncodeLayer(Window& window) override {
    auto& mine = static_cast<TorchWindow&>(window);
    return Catch([&] { mine.hidden = encoder_.Layer(mine.layers_done++, mine.hidden); });
  }

  absl::Status EndEncoding(Window& window) override {
    auto& mine = static_cast<TorchWindow&>(window);
    return Catch([&] { mine.cache = decoder_.Begin(encoder_.End(std::exchange(mine.hidden, {}))); });
  }

  absl::Status Decode(absl::Span<const Entry> entries) override {
    return Catch([&] {
      for (const Entry& entry : entries) DecodeOne(entry);
    });
  }

  absl::StatusOr<std::vector<float>> Alignment(const Window& window, int first, int tokens) override {
    std::vector<float> attention;
    const absl::Status status = Catch([&] {
      const at::Tensor rows = decoder_.Align(static_cast<const TorchWindow&>(window).cache, first, tokens);
      const auto* const begin = rows.const_data_ptr<float>();
      attention.assign(begin, begin + rows.numel());
    });
    if (!status.ok()) return status;
    return attention;
  }

  void TakeBack(Window& window, int tokens) override {
    static_cast<TorchWindow&>(window).cache.length -= tokens;
  }

 private:
  static absl::Status Catch(absl::FunctionRef<void()> body) {
    const c10::InferenceMode inference;
    try {
      body();
    } catch (const std::exception& error) {
      return absl::InternalError(error.what());
    }
    return absl::OkStatus();
  }

  void DecodeOne(const Entry& entry) {
    auto& cache = static_cast<TorchWindow*>(entry.window)->cache;
    if (entry.after_last != nullptr) entry.after_last->clear();
    for (size_t i = 0; i < entry.tokens.size(); ++i) {
      const at::Tensor row = decoder_.Step(&cache, entry.tokens.subspan(i, 1));
      const bool first = i == 0 && entry.after_first != nullptr;
      const bool last = i + entry.scored >= entry.tokens.size() && entry.after_last != nullptr;
      if (!first && !last) continue;
      const at::Tensor scores = decoder_.Logits(row).contiguous();
      const auto* const begin = scores.const_data_ptr<float>();
      if (first) entry.after_first->assign(begin, begin + scores.numel());
      if (last) entry.after_last->insert(entry.after_last->end(), begin, begin + scores.numel());
    }
  }

  const int mel_bins_;
  const cpu::LogMel log_mel_;
  const Encoder encoder_;
  const Decoder decoder_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Networks>> LoadTorchNetworks(const bundle::Safetensors& weights,
                                                            const Config& config, Arithmetic arithmetic) {
  try {
    WeightReader reader(&weights);
    Encoder encoder(&reader, config, arithmetic);
    Decoder decoder(&reader, config, arithmetic);
    if (!reader.status().ok()) return reader.status();
    return std::make_unique<TorchNetworks>(config, std::move(encoder), std::move(decoder));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(weights.path(), ": ", error.what()));
  }
}

}  // namespace parley::engine::whisper

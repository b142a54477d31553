#include "engine/torch/whisper/load.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/cpu/whisper/networks.h"
#include "engine/torch/whisper/networks.h"
#include "engine/whisper/config.h"

namespace parley::engine::whisper {

namespace {

absl::StatusOr<std::unique_ptr<Networks>> LoadNetworks(const bundle::Safetensors& weights,
                                                       const Config& config, Arithmetic arithmetic,
                                                       int threads) {
  if (cpu::SupportsWhisper(config).ok()) {
    return cpu::LoadWhisperNetworks(weights, config, arithmetic, threads);
  }
  // A Whisper that the kernels do not take is none that was published.
  return LoadTorchNetworks(weights, config, IsInteger(arithmetic) ? Arithmetic::kFp32 : arithmetic);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Whisper>> LoadWhisper(const bundle::Safetensors& weights,
                                                     absl::string_view config_json,
                                                     std::unique_ptr<text::Tokenizer> tokenizer,
                                                     absl::string_view language, Arithmetic arithmetic,
                                                     int threads) {
  const absl::StatusOr<Config> config = ParseConfig(config_json);
  if (!config.ok()) return config.status();
  absl::StatusOr<std::unique_ptr<Networks>> networks = LoadNetworks(weights, *config, arithmetic, threads);
  if (!networks.ok()) return networks.status();
  return Whisper::Create(*config, std::move(tokenizer), language, *std::move(networks));
}

}  // namespace parley::engine::whisper

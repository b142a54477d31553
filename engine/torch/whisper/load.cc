#include "engine/torch/whisper/load.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/torch/log_mel.h"
#include "engine/torch/whisper/networks.h"
#include "engine/whisper/config.h"

namespace parley::engine::whisper {

static_assert(LogMel::kHopSamples == kHopSamples);

absl::StatusOr<std::unique_ptr<Whisper>> LoadWhisper(const bundle::Safetensors& weights,
                                                     absl::string_view config_json,
                                                     std::unique_ptr<text::Tokenizer> tokenizer,
                                                     absl::string_view language, Arithmetic arithmetic,
                                                     [[maybe_unused]] int threads) {
  const absl::StatusOr<Config> config = ParseConfig(config_json);
  if (!config.ok()) return config.status();
  absl::StatusOr<std::unique_ptr<Networks>> networks = LoadTorchNetworks(weights, *config, arithmetic);
  if (!networks.ok()) return networks.status();
  return Whisper::Create(*config, std::move(tokenizer), language, LogMel(config->mel_bins),
                         *std::move(networks));
}

}  // namespace parley::engine::whisper

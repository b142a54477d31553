#include "engine/assembly/speech.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/assembly/errors.h"
#include "engine/bundle/mapped_file.h"
#include "engine/bundle/safetensors.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/cpu/whisper/networks.h"
#include "engine/text/tokenizer.h"
#include "engine/whisper/config.h"

namespace parley::engine::assembly {
namespace {

absl::StatusOr<std::unique_ptr<text::Tokenizer>> ReadWhisperTokenizer(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/tokenizer.json");
  const absl::StatusOr<std::string> json = bundle::ReadTextFile(path);
  if (!json.ok()) return json.status();
  absl::StatusOr<text::TokenizerData> data = bundle::TokenizerFromJson(*json, path);
  if (!data.ok()) return data.status();
  absl::StatusOr<std::unique_ptr<text::Tokenizer>> tokenizer = text::Tokenizer::Create(*std::move(data));
  if (!tokenizer.ok()) return At(path, tokenizer.status());
  return tokenizer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<whisper::Whisper>> LoadWhisperOnCpu(const std::string& folder,
                                                                   absl::string_view language,
                                                                   Arithmetic arithmetic, int threads) {
  const absl::StatusOr<bundle::Safetensors> weights = bundle::Safetensors::OpenFolder(folder);
  if (!weights.ok()) return weights.status();
  const std::string config_path = absl::StrCat(folder, "/config.json");
  const absl::StatusOr<std::string> json = bundle::ReadTextFile(config_path);
  if (!json.ok()) return json.status();
  const absl::StatusOr<whisper::Config> config = whisper::ParseConfig(*json);
  if (!config.ok()) return At(config_path, config.status());
  absl::StatusOr<std::unique_ptr<text::Tokenizer>> tokenizer = ReadWhisperTokenizer(folder);
  if (!tokenizer.ok()) return tokenizer.status();
  absl::StatusOr<std::unique_ptr<whisper::Networks>> networks =
      cpu::LoadWhisperNetworks(*weights, *config, arithmetic, threads);
  if (!networks.ok()) return At(folder, networks.status());
  absl::StatusOr<std::unique_ptr<whisper::Whisper>> whisper =
      whisper::Whisper::Create(*config, *std::move(tokenizer), language, *std::move(networks));
  if (!whisper.ok()) return At(folder, whisper.status());
  return whisper;
}

}  // namespace parley::engine::assembly

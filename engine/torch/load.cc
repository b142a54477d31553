#include "engine/torch/load.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/memory.h"
#include "base/processors.h"
#include "engine/bundle/language_model_files.h"
#include "engine/bundle/manifest.h"
#include "engine/bundle/mapped_file.h"
#include "engine/bundle/safetensors.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/runtime/runtime_engine.h"
#include "engine/silero/silero.h"
#include "engine/torch/arithmetic.h"
#include "engine/torch/torch_model.h"
#include "engine/torch/whisper/load.h"

namespace parley::engine {
namespace {

using bundle::BundleManifest;

absl::Status At(const std::string& path, const absl::Status& status) {
  if (status.ok() || absl::StrContains(status.message(), path)) return status;
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

absl::StatusOr<ArithmeticChoice> LoadLanguageModel(const BundleManifest& manifest, const LoadOptions& options,
                                                   int threads, TorchModel::Parts& parts) {
  absl::StatusOr<bundle::LanguageModelFiles> opened =
      bundle::LanguageModelFiles::Open(manifest.language_model);
  if (!opened.ok()) return opened.status();
  const auto files = std::make_shared<const bundle::LanguageModelFiles>(*std::move(opened));

  absl::StatusOr<bundle::TokenizerFiles> tokenizer_files = bundle::ReadTokenizer(*files);
  if (!tokenizer_files.ok()) return tokenizer_files.status();
  if (static_cast<int64_t>(tokenizer_files->tokenizer.tokens.size()) > files->shape().vocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat(files->path(), ": ", tokenizer_files->tokenizer.tokens.size(),
                     " tokens for an embedding of ", files->shape().vocabulary));
  }
  absl::StatusOr<std::unique_ptr<text::Tokenizer>> tokenizer =
      text::Tokenizer::Create(std::move(tokenizer_files->tokenizer));
  if (!tokenizer.ok()) return At(files->path(), tokenizer.status());
  parts.tokenizer = *std::move(tokenizer);

  text::PromptOptions prompt;
  prompt.family = manifest.prompt.layout;
  prompt.chat_template = std::move(tokenizer_files->chat_template);
  prompt.system = manifest.prompt.system;
  absl::StatusOr<text::PromptLayout> layout = text::PromptLayout::Create(prompt, parts.tokenizer.get());
  if (!layout.ok()) return At(files->path(), layout.status());
  parts.layout = std::make_unique<const text::PromptLayout>(*std::move(layout));

  const absl::StatusOr<ArithmeticChoice> choice = ChooseArithmetic(options.arithmetic, files->shape());
  if (!choice.ok()) return At(files->path(), choice.status());
  const absl::StatusOr<std::optional<kernels::KvFormat>> kv_format = KvFormatByName(options.kv_format);
  if (!kv_format.ok()) return kv_format.status();
  absl::StatusOr<std::unique_ptr<LanguageModel>> model =
      MakeLanguageModel(files, choice->language_model,
                        {.threads = threads,
                         .kv_bytes = options.kv_bytes > 0 ? options.kv_bytes : AvailableMemoryBytes() / 4,
                         .kv_format = *kv_format});
  if (!model.ok()) return model.status();
  parts.language_model = *std::move(model);

  parts.info.language_model = files->shape().name;
  parts.info.context_tokens = files->shape().context_tokens;
  parts.info.arithmetic = choice->description;
  return *choice;
}

absl::Status LoadAudioTower(const BundleManifest& manifest, Arithmetic arithmetic, int threads,
                            TorchModel::Parts& parts) {
  const std::string& folder = manifest.audio_tower->path;
  const absl::StatusOr<bundle::Safetensors> weights = bundle::Safetensors::OpenFolder(folder);
  if (!weights.ok()) return weights.status();
  const absl::StatusOr<std::string> config = bundle::ReadTextFile(absl::StrCat(folder, "/config.json"));
  if (!config.ok()) return config.status();
  const std::string tokenizer_path = absl::StrCat(folder, "/tokenizer.json");
  const absl::StatusOr<std::string> tokenizer_json = bundle::ReadTextFile(tokenizer_path);
  if (!tokenizer_json.ok()) return tokenizer_json.status();
  absl::StatusOr<text::TokenizerData> data = bundle::TokenizerFromJson(*tokenizer_json, tokenizer_path);
  if (!data.ok()) return data.status();
  absl::StatusOr<std::unique_ptr<text::Tokenizer>> tokenizer = text::Tokenizer::Create(*std::move(data));
  if (!tokenizer.ok()) return At(tokenizer_path, tokenizer.status());

  absl::StatusOr<std::unique_ptr<whisper::Whisper>> tower = whisper::LoadWhisper(
      *weights, *config, *std::move(tokenizer), manifest.audio_bridge->language, arithmetic, threads);
  if (!tower.ok()) return At(folder, tower.status());
  parts.info.audio_tower = (*tower)->name();
  parts.audio_tower = *std::move(tower);
  return absl::OkStatus();
}

absl::Status LoadVisionTower(const BundleManifest& manifest, int threads, TorchModel::Parts& parts) {
  const std::string& folder = manifest.vision_tower->path;
  const absl::StatusOr<bundle::Safetensors> weights = bundle::Safetensors::OpenFolder(folder);
  if (!weights.ok()) return weights.status();
  const absl::StatusOr<std::string> labels = bundle::ReadTextFile(absl::StrCat(folder, "/labels.json"));
  if (!labels.ok()) return labels.status();
  absl::StatusOr<std::unique_ptr<cpu::EfficientNet>> tower =
      cpu::EfficientNet::Load(*weights, *labels, threads);
  if (!tower.ok()) return At(folder, tower.status());
  parts.info.vision_tower = "EfficientNet-Lite0";
  parts.vision_tower = *std::move(tower);
  parts.vision_bridge = *manifest.vision_bridge;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SpeechDetector>> LoadSpeechDetector(const BundleManifest& manifest) {
  const std::string& path = manifest.speech_detector->path;
  const absl::StatusOr<bundle::Safetensors> weights = bundle::Safetensors::Open(path);
  if (!weights.ok()) return weights.status();
  absl::StatusOr<std::unique_ptr<SpeechDetector>> detector = silero::Load(*weights);
  if (!detector.ok()) return At(path, detector.status());
  return detector;
}

void SetThreads(int threads) {
  at::set_num_threads(threads);
  // Operations are called one after the other by one thread: nothing runs between them. It can be set once.
  static std::once_flag once;
  std::call_once(once, [] { at::set_num_interop_threads(1); });
}

absl::StatusOr<LoadedBundle> Load(const LoadOptions& options, const Clock* clock) {
  const absl::StatusOr<BundleManifest> manifest = bundle::ReadManifest(options.bundle_dir);
  if (!manifest.ok()) return manifest.status();
  if (absl::Status status = bundle::VerifyFiles(*manifest); !status.ok()) return status;

  const int threads = options.threads > 0 ? options.threads : UsableProcessors().usable;
  SetThreads(threads);
  TorchModel::Parts parts;
  parts.info.bundle = manifest->name;
  parts.info.device =
      absl::StrCat("cpu, ", threads, " threads, ", absl::AsciiStrToLower(at::get_cpu_capability()));
  const absl::StatusOr<ArithmeticChoice> arithmetic = LoadLanguageModel(*manifest, options, threads, parts);
  if (!arithmetic.ok()) return arithmetic.status();
  if (manifest->audio_tower.has_value()) {
    if (absl::Status status = LoadAudioTower(*manifest, arithmetic->audio_tower, threads, parts);
        !status.ok()) {
      return status;
    }
  }
  if (manifest->vision_tower.has_value()) {
    if (absl::Status status = LoadVisionTower(*manifest, threads, parts); !status.ok()) return status;
  }
  LoadedBundle loaded;
  if (manifest->speech_detector.has_value()) {
    absl::StatusOr<std::unique_ptr<SpeechDetector>> detector = LoadSpeechDetector(*manifest);
    if (!detector.ok()) return detector.status();
    loaded.speech_detector = *std::move(detector);
    parts.info.speech_detector = std::string(loaded.speech_detector->name());
  }
  RuntimeOptions runtime;
  runtime.max_conversations = options.max_conversations;
  loaded.engine = MakeRuntimeEngine(std::make_unique<TorchModel>(std::move(parts)), runtime, clock);
  return loaded;
}

}  // namespace

absl::StatusOr<LoadedBundle> LoadTorchBundle(const LoadOptions& options, const Clock* clock) {
  if (options.threads < 0 || options.threads > 1024) {
    return absl::InvalidArgumentError(absl::StrCat("threads ", options.threads, " is not from 0 to 1024"));
  }
  // On a thread of its own: the tensor library gives each thread that calls it a team of helpers, and a team
  // that outlives the load would compete with the model thread's.
  absl::StatusOr<LoadedBundle> loaded = absl::InternalError("not loaded");
  std::thread([&] {
    try {
      loaded = Load(options, clock);
    } catch (const std::exception& error) {
      loaded = absl::InternalError(absl::StrCat(options.bundle_dir, ": ", error.what()));
    }
  }).join();
  return loaded;
}

}  // namespace parley::engine

#include "engine/assembly/load.h"

#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/memory.h"
#include "base/processors.h"
#include "engine/assembly/arithmetic.h"
#include "engine/assembly/errors.h"
#include "engine/bundle/language_model_files.h"
#include "engine/bundle/manifest.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/kernels/cpu_features.h"
#include "engine/model/model.h"
#include "engine/runtime/runtime_engine.h"

namespace parley::engine::assembly {
namespace {

using bundle::BundleManifest;

constexpr absl::string_view kCpu = "cpu";

// The devices of a table's rows of one kind.
template <typename Load>
std::string Devices(const std::vector<Kind<Load>>& kinds, absl::string_view kind) {
  std::vector<std::string> devices;
  for (const Kind<Load>& row : kinds) {
    if (row.kind == kind) devices.push_back(row.device);
  }
  return absl::StrJoin(devices, ", ");
}

// The row of a kind on the device, or else on the processor.
template <typename Load>
absl::StatusOr<const Kind<Load>*> FindPart(const std::vector<Kind<Load>>& kinds,
                                           const BundleManifest::Part& part, absl::string_view device) {
  for (const absl::string_view on : {device, kCpu}) {
    if (const Kind<Load>* row = FindKind(kinds, part.kind, on); row != nullptr) return row;
  }
  return absl::UnimplementedError(
      absl::StrCat(part.path, ": this build has no '", part.kind, "' on '", device, "'"));
}

// One load of a bundle.
class Loader {
 public:
  Loader(const LoadOptions& options, const Kinds& kinds)
      : options_(options),
        kinds_(kinds),
        threads_(options.threads > 0 ? options.threads : UsableProcessors().usable) {}

  absl::StatusOr<LoadedBundle> Run(const Clock* clock) {
    const absl::StatusOr<BundleManifest> manifest = bundle::ReadManifest(options_.bundle_dir);
    if (!manifest.ok()) return manifest.status();
    if (absl::Status status = bundle::VerifyFiles(*manifest); !status.ok()) return status;
    model_.info.bundle = manifest->name;
    model_.info.device =
        absl::StrCat(options_.device == kCpu ? "" : absl::StrCat(options_.device, ", "), "cpu, ", threads_,
                     " threads, ", kernels::IsaName(kernels::DetectIsa()));
    if (absl::Status status = LoadTheLanguageModel(*manifest); !status.ok()) return status;
    if (absl::Status status = LoadTheSpeechEncoder(*manifest); !status.ok()) return status;
    if (absl::Status status = LoadTheFrameEncoder(*manifest); !status.ok()) return status;
    LoadedBundle loaded;
    loaded.warnings = manifest->warnings;
    if (manifest->speech_detector.has_value()) {
      absl::StatusOr<const Kind<LoadSpeechDetector>*> row =
          FindPart(kinds_.speech_detectors, *manifest->speech_detector, options_.device);
      if (!row.ok()) return row.status();
      absl::StatusOr<std::unique_ptr<SpeechDetector>> detector =
          (*row)->load(manifest->speech_detector->path);
      if (!detector.ok()) return detector.status();
      loaded.speech_detector = *std::move(detector);
      model_.info.speech_detector = std::string(loaded.speech_detector->name());
    }
    RuntimeOptions runtime;
    runtime.max_conversations = options_.max_conversations;
    loaded.engine = MakeRuntimeEngine(std::move(model_), runtime, clock);
    return loaded;
  }

 private:
  absl::Status LoadTheLanguageModel(const BundleManifest& manifest) {
    absl::StatusOr<bundle::LanguageModelFiles> opened =
        bundle::LanguageModelFiles::Open(manifest.language_model);
    if (!opened.ok()) return opened.status();
    const auto files = std::make_shared<const bundle::LanguageModelFiles>(*std::move(opened));
    const std::string& kind = files->shape().architecture;
    const Kind<LoadLanguageModel>* row = FindKind(kinds_.language_models, kind, options_.device);
    if (row == nullptr) {
      return absl::UnimplementedError(absl::StrCat(files->path(), ": this build has no '", kind, "' on '",
                                                   options_.device, "'; it has it on ",
                                                   Devices(kinds_.language_models, kind)));
    }
    if (absl::Status status = MakeTokenizer(manifest, *files); !status.ok()) return status;

    const absl::StatusOr<ArithmeticChoice> choice = ChooseArithmetic(options_.arithmetic, options_.device);
    if (!choice.ok()) return choice.status();
    speech_arithmetic_ = choice->speech_encoder;
    const absl::StatusOr<std::optional<KvFormat>> kv_format = KvFormatByName(options_.kv_format);
    if (!kv_format.ok()) return kv_format.status();
    absl::StatusOr<std::unique_ptr<LanguageModel>> model =
        row->load(files, {.threads = threads_,
                          .arithmetic = choice->language_model,
                          .kv_bytes = options_.kv_bytes > 0 ? options_.kv_bytes : AvailableMemoryBytes() / 4,
                          .kv_format = *kv_format});
    if (!model.ok()) return model.status();
    model_.language_model = *std::move(model);
    model_.info.language_model = files->shape().name;
    model_.info.context_tokens = files->shape().context_tokens;
    model_.info.arithmetic = choice->description;
    return absl::OkStatus();
  }

  // And the prompt's layout in its tokens.
  absl::Status MakeTokenizer(const BundleManifest& manifest, const bundle::LanguageModelFiles& files) {
    absl::StatusOr<bundle::TokenizerFiles> read = bundle::ReadTokenizer(files);
    if (!read.ok()) return read.status();
    if (static_cast<int64_t>(read->tokenizer.tokens.size()) > files.shape().vocabulary) {
      return absl::InvalidArgumentError(absl::StrCat(files.path(), ": ", read->tokenizer.tokens.size(),
                                                     " tokens for an embedding of ",
                                                     files.shape().vocabulary));
    }
    absl::StatusOr<std::unique_ptr<text::Tokenizer>> tokenizer =
        text::Tokenizer::Create(std::move(read->tokenizer));
    if (!tokenizer.ok()) return At(files.path(), tokenizer.status());
    model_.tokenizer = *std::move(tokenizer);

    text::PromptOptions prompt;
    prompt.family = manifest.prompt.layout;
    prompt.chat_template = std::move(read->chat_template);
    prompt.system = manifest.prompt.system;
    absl::StatusOr<text::PromptLayout> layout = text::PromptLayout::Create(prompt, model_.tokenizer.get());
    if (!layout.ok()) return At(files.path(), layout.status());
    model_.layout = std::make_unique<const text::PromptLayout>(*std::move(layout));
    return absl::OkStatus();
  }

  absl::Status LoadTheSpeechEncoder(const BundleManifest& manifest) {
    if (!manifest.audio_encoder.has_value()) return absl::OkStatus();
    const absl::StatusOr<const Kind<LoadSpeechEncoder>*> row =
        FindPart(kinds_.speech_encoders, *manifest.audio_encoder, options_.device);
    if (!row.ok()) return row.status();
    absl::StatusOr<std::unique_ptr<SpeechEncoder>> encoder = (*row)->load(
        manifest.audio_encoder->path, manifest.audio_bridge->language, speech_arithmetic_, threads_);
    if (!encoder.ok()) return encoder.status();
    model_.info.audio_encoder = (*encoder)->name();
    model_.speech_encoder = *std::move(encoder);
    return absl::OkStatus();
  }

  absl::Status LoadTheFrameEncoder(const BundleManifest& manifest) {
    if (!manifest.vision_encoder.has_value()) return absl::OkStatus();
    const absl::StatusOr<const Kind<LoadVisionEncoder>*> row =
        FindPart(kinds_.vision_encoders, *manifest.vision_encoder, options_.device);
    if (!row.ok()) return row.status();
    absl::StatusOr<std::unique_ptr<FrameEncoder>> encoder =
        (*row)->load(manifest.vision_encoder->path, *manifest.vision_bridge, threads_);
    if (!encoder.ok()) return encoder.status();
    model_.info.vision_encoder = (*encoder)->name();
    model_.frame_encoder = *std::move(encoder);
    return absl::OkStatus();
  }

  const LoadOptions& options_;
  const Kinds& kinds_;
  const int threads_;
  Arithmetic speech_arithmetic_ = Arithmetic::kFp32;
  Model model_;
};

}  // namespace

absl::StatusOr<LoadedBundle> LoadBundle(const LoadOptions& options, const Kinds& kinds, const Clock* clock) {
  if (options.threads < 0 || options.threads > 1024) {
    return absl::InvalidArgumentError(absl::StrCat("threads ", options.threads, " is not from 0 to 1024"));
  }
  try {
    return Loader(options, kinds).Run(clock);
  } catch (const std::exception& error) {  // memory that is not there
    return absl::InternalError(absl::StrCat(options.bundle_dir, ": ", error.what()));
  }
}

}  // namespace parley::engine::assembly

#include "engine/assembly/kinds.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/assembly/errors.h"
#include "engine/assembly/speech.h"
#include "engine/bundle/mapped_file.h"
#include "engine/bundle/safetensors.h"
#include "engine/cpu/efficientnet/efficientnet.h"
#include "engine/cpu/efficientnet/labels_encoder.h"
#include "engine/cpu/llama.h"
#include "engine/silero/silero.h"

namespace parley::engine::assembly {
namespace {

kernels::KvFormat ToKernels(KvFormat format) {
  switch (format) {
    case KvFormat::kFp32:
      return kernels::KvFormat::kFp32;
    case KvFormat::kFp16:
      return kernels::KvFormat::kFp16;
    case KvFormat::kInt8:
      break;
  }
  return kernels::KvFormat::kInt8;
}

absl::StatusOr<std::unique_ptr<LanguageModel>> LoadLlama(
    std::shared_ptr<const bundle::LanguageModelFiles> files, const LanguageModelOptions& options) {
  return cpu::Llama::Load(std::move(files), {.threads = options.threads,
                                             .arithmetic = options.arithmetic,
                                             .kv_bytes = options.kv_bytes,
                                             .kv_format = ToKernels(options.KvFormatInForce())});
}

absl::StatusOr<std::unique_ptr<FrameEncoder>> LoadEfficientNet(
    const std::string& folder, const bundle::BundleManifest::VisionBridge& bridge, int threads) {
  const absl::StatusOr<bundle::Safetensors> weights = bundle::Safetensors::OpenFolder(folder);
  if (!weights.ok()) return weights.status();
  const absl::StatusOr<std::string> labels = bundle::ReadTextFile(absl::StrCat(folder, "/labels.json"));
  if (!labels.ok()) return labels.status();
  absl::StatusOr<std::unique_ptr<cpu::EfficientNet>> loaded =
      cpu::EfficientNet::Load(*weights, *labels, threads);
  if (!loaded.ok()) return At(folder, loaded.status());
  return std::make_unique<cpu::LabelsEncoder>(*std::move(loaded), bridge);
}

absl::StatusOr<std::unique_ptr<SpeechDetector>> LoadSilero(const std::string& file) {
  const absl::StatusOr<bundle::Safetensors> weights = bundle::Safetensors::Open(file);
  if (!weights.ok()) return weights.status();
  absl::StatusOr<std::unique_ptr<SpeechDetector>> detector = silero::Load(*weights);
  if (!detector.ok()) return At(file, detector.status());
  return detector;
}

}  // namespace

Kinds CpuKinds() {
  return {
      .language_models = {{"llama", "cpu", LoadLlama},
                          {"qwen2", "cpu", LoadLlama},
                          {"baichuan", "cpu", LoadLlama}},
      .speech_encoders = {{"whisper", "cpu", LoadWhisperOnCpu}},
      .vision_encoders = {{"efficientnet-lite0", "cpu", LoadEfficientNet}},
      .speech_detectors = {{"silero", "cpu", LoadSilero}},
  };
}

}  // namespace parley::engine::assembly

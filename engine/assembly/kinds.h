// What the parts of a bundle can be: a table for each part, by kind and device. A new kind of model, or a
// known one on another device, is a row.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/api/speech_detector.h"
#include "engine/bundle/language_model_files.h"
#include "engine/bundle/manifest.h"
#include "engine/model/arithmetic.h"
#include "engine/model/encoder.h"
#include "engine/model/language_model.h"
#include "engine/model/language_model_options.h"

namespace parley::engine::assembly {

template <typename Load>
struct Kind {
  std::string kind;    // parley.json's; of a language model: its architecture
  std::string device;  // --device's
  Load load;           // errors name the file
};

using LoadLanguageModel = std::function<absl::StatusOr<std::unique_ptr<LanguageModel>>(
    std::shared_ptr<const bundle::LanguageModelFiles>, const LanguageModelOptions&)>;
using LoadSpeechEncoder = std::function<absl::StatusOr<std::unique_ptr<SpeechEncoder>>(
    const std::string& folder, absl::string_view language, Arithmetic, int threads)>;
using LoadVisionEncoder = std::function<absl::StatusOr<std::unique_ptr<FrameEncoder>>(
    const std::string& folder, const bundle::BundleManifest::VisionBridge& bridge, int threads)>;
using LoadSpeechDetector =
    std::function<absl::StatusOr<std::unique_ptr<SpeechDetector>>(const std::string& file)>;

struct Kinds {
  std::vector<Kind<LoadLanguageModel>> language_models;
  std::vector<Kind<LoadSpeechEncoder>> speech_encoders;
  std::vector<Kind<LoadVisionEncoder>> vision_encoders;
  std::vector<Kind<LoadSpeechDetector>> speech_detectors;
};

// All that run on the processor's own kernels, on the device "cpu": every kind has a row here.
Kinds CpuKinds();

// The row of a kind on a device; null: there is none.
template <typename Load>
const Kind<Load>* FindKind(const std::vector<Kind<Load>>& kinds, absl::string_view kind,
                           absl::string_view device) {
  for (const Kind<Load>& row : kinds) {
    if (row.kind == kind && row.device == device) return &row;
  }
  return nullptr;
}

}  // namespace parley::engine::assembly

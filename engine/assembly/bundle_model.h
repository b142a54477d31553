// A loaded bundle as the runtime's Model: its language model, its encoders, and what joins them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/bundle/manifest.h"
#include "engine/cpu/efficientnet/efficientnet.h"
#include "engine/model/model.h"
#include "engine/text/prompt_layout.h"
#include "engine/text/tokenizer.h"
#include "engine/whisper/whisper.h"

namespace parley::engine::assembly {

class BundleModel final : public Model {
 public:
  struct Parts {
    EngineInfo info;
    std::unique_ptr<const text::Tokenizer> tokenizer;
    std::unique_ptr<const text::PromptLayout> layout;
    std::unique_ptr<LanguageModel> language_model;
    std::unique_ptr<const whisper::Whisper> speech_encoder;   // null: the bundle does not hear
    std::unique_ptr<const cpu::EfficientNet> vision_encoder;  // null: it does not see
    bundle::BundleManifest::VisionBridge vision_bridge;       // with a vision encoder
  };
  explicit BundleModel(Parts parts) : parts_(std::move(parts)) {}

  const EngineInfo& info() const override { return parts_.info; }
  const text::Tokenizer& tokenizer() const override { return *parts_.tokenizer; }
  const text::PromptLayout& layout() const override { return *parts_.layout; }
  int vocabulary() const override { return parts_.language_model->vocabulary(); }
  bool hears() const override { return parts_.speech_encoder != nullptr; }
  bool sees() const override { return parts_.vision_encoder != nullptr; }

  absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() override;
  absl::Status Step(absl::Span<StepEntry> entries) override { return parts_.language_model->Step(entries); }
  schedule::PageStats pages() const override { return parts_.language_model->pages(); }
  int64_t page_bytes() const override { return parts_.language_model->page_bytes(); }
  absl::StatusOr<std::vector<std::string>> DescribeImages(absl::Span<const ImagePtr> images) override;
  absl::StatusOr<std::unique_ptr<Transcription>> StartTranscription(
      std::vector<float> samples, std::shared_ptr<const TranscriptDraft> draft) override;
  std::vector<absl::StatusOr<bool>> AdvanceTogether(
      absl::Span<Transcription* const> transcriptions) override {
    return parts_.speech_encoder->AdvanceTogether(transcriptions);
  }

 private:
  Parts parts_;
};

}  // namespace parley::engine::assembly

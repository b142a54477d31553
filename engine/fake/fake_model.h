// The fake engine's arithmetic (see fake_engine.h): a KV cache is a list of tokens on pages without memory,
// scores are a hash of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/fake/fake_engine.h"
#include "engine/model/model.h"
#include "engine/text/prompt_layout.h"
#include "engine/text/tokenizer.h"

namespace parley::engine {

class FakeModel final : public Model {
 public:
  explicit FakeModel(const FakeOptions& options);

  const EngineInfo& info() const override { return info_; }
  const text::Tokenizer& tokenizer() const override { return *tokenizer_; }
  const text::PromptLayout& layout() const override { return layout_; }
  int vocabulary() const override { return tokenizer_->size(); }
  bool hears() const override { return options_.hears; }
  bool sees() const override { return options_.sees; }

  absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() override;
  absl::Status Step(absl::Span<StepEntry> entries) override;
  schedule::PageStats pages() const override { return pool_.stats(); }
  int64_t page_bytes() const override { return kFakePageBytes; }
  absl::StatusOr<std::vector<std::string>> DescribeImages(absl::Span<const ImagePtr> images) override;
  absl::StatusOr<std::unique_ptr<Transcription>> StartTranscription(
      std::vector<float> samples, std::shared_ptr<const TranscriptDraft> draft) override;

 private:
  class FakeSequence;
  struct FakeDraft;
  class FakeTranscription;

  // Waits while stalled, takes `cost` on the clock in use, and takes the fault that is due.
  absl::Status Work(absl::Duration cost, absl::Status FakeFaults::*fault);
  absl::Status CheckHeld(absl::Span<const StepEntry> entries);
  void Score(absl::Span<const TokenId> history, std::vector<float>* logits) const;

  const FakeOptions options_;
  schedule::PagePool pool_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  text::PromptLayout layout_;
  EngineInfo info_;
  TokenId im_start_;
  TokenId im_end_;
};

}  // namespace parley::engine

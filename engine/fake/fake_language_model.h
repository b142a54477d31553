// The fake engine's language model: a KV cache is a list of rows on pages without memory, scores are a hash
// of it (see fake_engine.h).
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/fake/fake_engine.h"
#include "engine/fake/fake_work.h"
#include "engine/model/language_model.h"
#include "engine/schedule/page_table.h"
#include "engine/text/tokenizer.h"

namespace parley::engine {

// The tokens that it knows: bytes, the words of its answers, and ChatML's brackets.
std::unique_ptr<text::Tokenizer> MakeFakeTokenizer();

class FakeLanguageModel final : public LanguageModel {
 public:
  // `tokenizer`: the fake's; it must outlive the model.
  FakeLanguageModel(const FakeOptions& options, const text::Tokenizer* tokenizer);

  int vocabulary() const override { return tokenizer_->size(); }
  int hidden() const override { return 4; }
  absl::StatusOr<std::unique_ptr<Sequence>> NewSequence() override;
  // Takes the pages. As on a device, the work is done and its faults show in Complete.
  absl::Status Submit(absl::Span<const StepEntry> entries) override;
  absl::Status Complete() override;
  schedule::PageStats pages() const override { return pool_.stats(); }
  int64_t page_bytes() const override { return kFakePageBytes; }

 private:
  class FakeSequence;

  absl::Status CheckPrompts(absl::Span<const StepEntry> entries) const;
  void Run(const StepEntry& entry);
  void Answer(const FakeSequence& sequence, const RowRequest& request);

  const FakeOptions options_;
  const text::Tokenizer* const tokenizer_;
  const TokenId im_start_;
  const TokenId im_end_;
  FakeWork work_;
  schedule::PagePool pool_;
  std::vector<StepEntry> submitted_;
  std::vector<float> scores_;  // [vocabulary], of the row under way
};

}  // namespace parley::engine

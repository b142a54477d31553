// The fake engine's encoders: what they write is known from the input alone (see fake_engine.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/fake/fake_engine.h"
#include "engine/fake/fake_work.h"
#include "engine/model/encoder.h"

namespace parley::engine {

// Speech by its length. A pass each second of audio that is not in the draft.
class FakeSpeechEncoder final : public SpeechEncoder {
 public:
  explicit FakeSpeechEncoder(const FakeOptions& options)
      : pass_time_(options.transcription_time), work_(options) {}

  std::string name() const override { return "length"; }
  absl::StatusOr<std::unique_ptr<Encoding>> Start(SpeechInput input) override;
  std::vector<absl::StatusOr<bool>> Advance(absl::Span<Encoding* const> encodings) override;

 private:
  const absl::Duration pass_time_;
  FakeWork work_;
};

// Pictures by their mean colour, in one pass. A pass of several that fails is done again for each alone.
class FakeFrameEncoder final : public FrameEncoder {
 public:
  explicit FakeFrameEncoder(const FakeOptions& options)
      : pass_time_(options.encode_pass_time), frame_time_(options.encode_time), work_(options) {}

  std::string name() const override { return "mean colour"; }
  absl::StatusOr<std::unique_ptr<Encoding>> Start(ImagePtr image) override;
  std::vector<absl::StatusOr<bool>> Advance(absl::Span<Encoding* const> encodings) override;

 private:
  const absl::Duration pass_time_;
  const absl::Duration frame_time_;
  FakeWork work_;
};

}  // namespace parley::engine

// Whisper (Radford et al., 2022, arXiv:2212.04356): speech to text, any size, whatever computes it.
//
// Audio is trimmed, not padded to 30 s: the encoder sees the speech and one second of silence after it, at
// the positions there are, and the decoder writes timestamps, whose closing one says where to stop. Longer
// utterances are transcribed in windows of 30 s. So trimmed it skips one of several equal sentences now and
// then: where the alignment heads are known (Config) that is seen and written anew.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/model/encoder.h"
#include "engine/text/tokenizer.h"
#include "engine/whisper/config.h"
#include "engine/whisper/networks.h"

namespace parley::engine::whisper {

class Whisper final : public SpeechEncoder {
 public:
  // `config` as its networks have it. `language`: ISO 639-1 as the bundle says, empty or "auto": detected in
  // each utterance. INVALID_ARGUMENT: what is wrong, by name.
  static absl::StatusOr<std::unique_ptr<Whisper>> Create(const Config& config,
                                                         std::unique_ptr<text::Tokenizer> tokenizer,
                                                         absl::string_view language,
                                                         std::unique_ptr<Networks> networks);
  ~Whisper() override;
  Whisper(const Whisper&) = delete;
  Whisper& operator=(const Whisper&) = delete;

  // By its number of layers.
  std::string name() const override;
  // What it gives is words. A draft is of one of its own encodings.
  absl::StatusOr<std::unique_ptr<Encoding>> Start(SpeechInput input) override;
  std::vector<absl::StatusOr<bool>> Advance(absl::Span<Encoding* const> encodings) override;

  struct Parts;  // for this folder and its tests
  const Parts& parts() const { return *parts_; }

 private:
  explicit Whisper(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

}  // namespace parley::engine::whisper

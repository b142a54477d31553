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
#include "engine/model/model.h"
#include "engine/text/tokenizer.h"
#include "engine/whisper/config.h"
#include "engine/whisper/networks.h"

namespace parley::engine::whisper {

// Used by the model thread only. Must outlive its transcriptions.
class Whisper {
 public:
  // `config` as its networks have it. `language`: ISO 639-1 as the bundle says, empty or "auto": detected in
  // each utterance. INVALID_ARGUMENT: what is wrong, by name.
  static absl::StatusOr<std::unique_ptr<Whisper>> Create(const Config& config,
                                                         std::unique_ptr<text::Tokenizer> tokenizer,
                                                         absl::string_view language,
                                                         std::unique_ptr<Networks> networks);
  ~Whisper();
  Whisper(const Whisper&) = delete;
  Whisper& operator=(const Whisper&) = delete;

  // "Whisper base": by its number of layers, for EngineInfo.
  std::string name() const;
  // `samples`: one utterance, mono, kSampleRateHz, any length.
  // `draft`: null, or of one of its transcriptions; see Model::StartTranscription.
  std::unique_ptr<Transcription> StartTranscription(
      std::vector<float> samples, std::shared_ptr<const TranscriptDraft> draft = nullptr) const;

  // See Model::AdvanceTogether.
  std::vector<absl::StatusOr<bool>> AdvanceTogether(absl::Span<Transcription* const> transcriptions) const;

  struct Parts;  // for this folder and its tests
  const Parts& parts() const { return *parts_; }

 private:
  explicit Whisper(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

}  // namespace parley::engine::whisper

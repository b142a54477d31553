// Whisper (Radford et al., 2022, arXiv:2212.04356): speech to text, any size, from the Hugging Face layout.
//
// Audio is trimmed, not padded to 30 s: the encoder sees the speech and one second of silence after it, at
// the positions there are, and the decoder writes timestamps, whose closing one says where to stop. Longer
// utterances are transcribed in windows of 30 s.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/bundle/safetensors.h"
#include "engine/runtime/model.h"
#include "engine/text/tokenizer.h"
#include "engine/torch/linear.h"

namespace parley::engine::whisper {

// Immutable; used by the model thread only. Must outlive its transcriptions.
class Whisper {
 public:
  // Reads the weights, which may go afterwards. `config_json`: config.json. `language`: ISO 639-1 as the
  // bundle says, empty or "auto": detected in each utterance. `arithmetic`: of the linear layers.
  // INVALID_ARGUMENT, NOT_FOUND: what is missing or wrong, by name.
  static absl::StatusOr<std::unique_ptr<Whisper>> Load(const bundle::Safetensors& weights,
                                                       absl::string_view config_json,
                                                       std::unique_ptr<text::Tokenizer> tokenizer,
                                                       absl::string_view language,
                                                       Arithmetic arithmetic = Arithmetic::kFp32);
  ~Whisper();
  Whisper(const Whisper&) = delete;
  Whisper& operator=(const Whisper&) = delete;

  // "Whisper base": by its number of layers, for EngineInfo.
  std::string name() const;
  // `samples`: one utterance, mono, kSampleRateHz, any length.
  absl::StatusOr<std::unique_ptr<Transcription>> StartTranscription(std::vector<float> samples) const;

  struct Parts;  // for this folder and its tests
  const Parts& parts() const { return *parts_; }

 private:
  explicit Whisper(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

}  // namespace parley::engine::whisper

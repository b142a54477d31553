#include "engine/whisper/whisper.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/whisper/parts.h"
#include "engine/whisper/transcription.h"

namespace parley::engine::whisper {
namespace {

absl::StatusOr<TokenId> ChooseLanguage(const SpecialTokens& tokens, absl::string_view language) {
  if (language.empty() || language == "auto") return -1;
  if (tokens.languages.empty()) {
    if (language == "en") return -1;
    return absl::InvalidArgumentError(
        absl::StrCat("audio_bridge.language: this Whisper knows no '", language, "', only 'en'"));
  }
  const TokenId token = tokens.LanguageToken(language);
  if (token < 0) {
    return absl::InvalidArgumentError(absl::StrCat("audio_bridge.language: '", language,
                                                   "' is no language of this Whisper (ISO 639-1, or auto)"));
  }
  return token;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Whisper>> Whisper::Create(const Config& config,
                                                         std::unique_ptr<text::Tokenizer> tokenizer,
                                                         absl::string_view language,
                                                         std::unique_ptr<Networks> networks) {
  const absl::StatusOr<SpecialTokens> tokens = SpecialTokens::Find(*tokenizer);
  if (!tokens.ok()) return tokens.status();
  if (tokens->first_timestamp >= config.vocabulary) {
    return absl::InvalidArgumentError("Whisper: config.json and tokenizer.json do not belong together");
  }
  const absl::StatusOr<TokenId> language_token = ChooseLanguage(*tokens, language);
  if (!language_token.ok()) return language_token.status();
  auto parts = std::unique_ptr<Parts>(new Parts{config, *tokens, std::move(tokenizer), *language_token,
                                                std::move(networks), DecodingRules(config, *tokens)});
  return std::unique_ptr<Whisper>(new Whisper(std::move(parts)));
}

Whisper::Whisper(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Whisper::~Whisper() = default;

std::string Whisper::name() const {
  const char* size = "";
  switch (parts_->config.encoder_layers) {
    case 4:
      size = " tiny";
      break;
    case 6:
      size = " base";
      break;
    case 12:
      size = " small";
      break;
    case 24:
      size = " medium";
      break;
    case 32:
      size = " large";
      break;
  }
  return absl::StrCat("Whisper", size, parts_->tokens.languages.empty() ? ".en" : "");
}

absl::StatusOr<std::unique_ptr<Encoding>> Whisper::Start(SpeechInput input) {
  return std::make_unique<WhisperTranscription>(parts_.get(), std::move(input));
}

std::vector<absl::StatusOr<bool>> Whisper::Advance(absl::Span<Encoding* const> encodings) {
  std::vector<WhisperTranscription*> transcriptions;
  for (Encoding* each : encodings) transcriptions.push_back(static_cast<WhisperTranscription*>(each));
  return WhisperTranscription::Advance(transcriptions);
}

}  // namespace parley::engine::whisper

// The tokens by which Whisper is told what to do and says when something was spoken.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/text/tokenizer.h"

namespace parley::engine::whisper {

struct SpecialTokens {
  struct Language {
    TokenId id = -1;
    std::string code;  // ISO 639-1 (639-2 or 639-3 where there is none)
  };
  TokenId start = -1;  // of transcript
  TokenId end = -1;    // of text
  TokenId transcribe = -1;
  TokenId no_timestamps = -1;
  TokenId no_speech = -1;           // -1: none
  TokenId first_timestamp = -1;     // 0.00 s; one every 20 ms from here on
  std::vector<Language> languages;  // empty: an English-only model, prompted by `start` alone

  static constexpr double kTimestampSeconds = 0.02;

  // INVALID_ARGUMENT naming the token that is missing.
  static absl::StatusOr<SpecialTokens> Find(const text::Tokenizer& tokenizer);
  // -1: not a language of this model.
  TokenId LanguageToken(absl::string_view code) const;
};

}  // namespace parley::engine::whisper

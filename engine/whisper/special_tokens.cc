#include "engine/whisper/special_tokens.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace parley::engine::whisper {
namespace {

// openai/whisper, tokenizer.py, in the order of their tokens.
constexpr absl::string_view kLanguages =
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg "
    "lt la mi "
    "ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka "
    "be tg sd "
    "gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue";

}  // namespace

absl::StatusOr<SpecialTokens> SpecialTokens::Find(const text::Tokenizer& tokenizer) {
  SpecialTokens tokens;
  const struct {
    const char* name;
    TokenId* id;
  } required[] = {{"<|startoftranscript|>", &tokens.start},
                  {"<|endoftext|>", &tokens.end},
                  {"<|transcribe|>", &tokens.transcribe},
                  {"<|notimestamps|>", &tokens.no_timestamps}};
  for (const auto& token : required) {
    const auto id = tokenizer.Find(token.name);
    if (!id.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("Whisper tokenizer: ", token.name, " is missing"));
    }
    *token.id = *id;
  }
  // Timestamps follow, though not every tokenizer.json lists them.
  tokens.first_timestamp = tokens.no_timestamps + 1;
  for (const char* name : {"<|nospeech|>", "<|nocaptions|>"}) {
    tokens.no_speech = tokenizer.Find(name).value_or(tokens.no_speech);
  }
  // English-only models list the languages too, but were never trained to be told one. Their text ends with
  // an id one lower than in the multilingual ones.
  constexpr TokenId kEndOfTextEnglishOnly = 50256;
  if (tokens.end != kEndOfTextEnglishOnly) {
    for (absl::string_view code : absl::StrSplit(kLanguages, ' ')) {
      const auto id = tokenizer.Find(absl::StrCat("<|", code, "|>"));
      if (id.has_value()) tokens.languages.push_back({*id, std::string(code)});
    }
  }
  return tokens;
}

TokenId SpecialTokens::LanguageToken(absl::string_view code) const {
  for (const Language& language : languages) {
    if (language.code == code) return language.id;
  }
  return -1;
}

}  // namespace parley::engine::whisper

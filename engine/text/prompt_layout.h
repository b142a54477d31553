// How a conversation is written for the model: roles and separators as tokens, after the model's own chat
// template. Templates are recognised by family, not interpreted: a template is a program, and a live call
// needs its pieces one at a time, appended and never rewritten.
//
// A conversation's tokens are
//   System | UserOpen parts.. AnswerOpen answer AnswerClose | UserOpen parts.. AnswerOpen answer AnswerClose
//   | ..
// A part is what was shown, said or typed. Every part but a turn's first begins with the separator, and each
// is tokenised on its own together with that separator: the tokens depend on the parts and their order, never
// on when they arrived.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/text/token.h"
#include "engine/text/tokenizer.h"

namespace parley::engine::text {

struct PromptOptions {
  // parley.json's prompt.template: "auto" (recognised from `chat_template`), "chatml", "llama-3", "llama-2",
  // "mistral".
  std::string family = "auto";
  // The model's own: GGUF's tokenizer.chat_template, or Hugging Face's chat_template. Jinja text.
  std::string chat_template;
  // parley.json's prompt.system. Empty: the default that the model's template carries, if any.
  std::string system;
  // Between the parts of one user turn.
  std::string separator = " ";
};

// Immutable; thread-safe.
class PromptLayout {
 public:
  // UNIMPLEMENTED for a template of no known family, saying what was looked for and how to set
  // prompt.template; INVALID_ARGUMENT when the vocabulary lacks the family's tokens. `tokenizer` must outlive
  // the result.
  static absl::StatusOr<PromptLayout> Create(const PromptOptions& options, const Tokenizer* tokenizer);

  const std::string& family() const { return family_; }
  const std::string& default_system() const { return system_; }

  // A conversation's first tokens. `instructions` empty: default_system().
  std::vector<TokenId> System(absl::string_view instructions) const;
  // Opens a user's turn.
  const std::vector<TokenId>& UserOpen(bool first_turn) const {
    return first_turn ? first_open_ : user_open_;
  }
  // One part of a user's turn, without white space at its ends; empty when nothing is left. Token names
  // inside are plain text.
  std::vector<TokenId> UserPart(absl::string_view words, bool first_part) const;
  // Closes the user's turn and opens the assistant's.
  const std::vector<TokenId>& AnswerOpen() const { return answer_open_; }
  // Closes the assistant's turn, whichever way it ended.
  const std::vector<TokenId>& AnswerClose() const { return answer_close_; }
  // Whether the model says by `id` that its answer is complete. Such a token is never text.
  bool EndsAnswer(TokenId id) const;

 private:
  PromptLayout() = default;

  const Tokenizer* tokenizer_ = nullptr;
  std::string family_;
  std::string system_;
  std::string separator_;
  std::string system_before_;  // template text around the instructions
  std::string system_after_;
  std::string no_system_;  // instead of both, when there are no instructions
  std::vector<TokenId> first_open_;
  std::vector<TokenId> user_open_;
  std::vector<TokenId> answer_open_;
  std::vector<TokenId> answer_close_;
  std::vector<TokenId> ends_;
};

}  // namespace parley::engine::text

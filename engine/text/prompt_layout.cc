#include "engine/text/prompt_layout.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace parley::engine::text {
namespace {

// How a family writes a conversation, as text in which token names stand for the tokens.
struct Family {
  absl::string_view name;
  absl::string_view mark;  // a template that holds this is of the family; the first that fits wins
  absl::string_view system_before, system_after;
  absl::string_view no_system;  // instead of both when there are no instructions
  absl::string_view first_open, user_open, answer_open, answer_close;
  std::vector<absl::string_view> ends;  // tokens by which the model ends its answer, or would forge a role
};

const std::vector<Family>& Families() {
  static const auto* const families = new std::vector<Family>{
      {"chatml",
       "<|im_start|>",
       "<|im_start|>system\n",
       "<|im_end|>\n",
       "",
       "<|im_start|>user\n",
       "<|im_start|>user\n",
       "<|im_end|>\n<|im_start|>assistant\n",
       "<|im_end|>\n",
       {"<|im_end|>", "<|endoftext|>", "<|im_start|>"}},
      {"llama-3",
       "<|start_header_id|>",
       "<|start_header_id|>system<|end_header_id|>\n\n",
       "<|eot_id|>",
       "",
       "<|start_header_id|>user<|end_header_id|>\n\n",
       "<|start_header_id|>user<|end_header_id|>\n\n",
       "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
       "<|eot_id|>",
       {"<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "<|start_header_id|>"}},
      {"llama-2",
       "<<SYS>>",
       "[INST] <<SYS>>\n",
       "\n<</SYS>>\n\n",
       "[INST] ",
       "",
       "<s>[INST] ",
       " [/INST]",
       "</s>",
       {"</s>", "<s>"}},
      {"mistral", "[INST]", "[INST] ", "\n\n", "[INST] ", "", "[INST] ", " [/INST]", "</s>", {"</s>", "<s>"}},
  };
  return *families;
}

std::string FamilyNames() {
  std::string names;
  for (const Family& family : Families()) absl::StrAppend(&names, names.empty() ? "" : ", ", family.name);
  return names;
}

// The instructions a template writes when the conversation has none: the literal between the family's system
// brackets, as in SmolLM2's and Qwen2's.
std::string DefaultSystem(absl::string_view chat_template, const Family& family) {
  // In a template a line feed stands as itself or as the escape.
  const std::string text = absl::StrReplaceAll(chat_template, {{"\\n", "\n"}});
  const std::string before(family.system_before);
  const std::string after(absl::StripAsciiWhitespace(family.system_after));
  for (size_t at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
    const size_t begin = at + before.size();
    const size_t end = text.find(after, begin);
    if (end == std::string::npos) break;
    const std::string words = text.substr(begin, end - begin);
    // An expression, not a literal: the end of the string, or a block, lies between.
    if (words.find_first_of("'{}+") == std::string::npos && !words.empty()) return words;
  }
  return "";
}

}  // namespace

absl::StatusOr<PromptLayout> PromptLayout::Create(const PromptOptions& options, const Tokenizer* tokenizer) {
  const Family* family = nullptr;
  for (const Family& known : Families()) {
    const bool fits = options.family == "auto" ? absl::StrContains(options.chat_template, known.mark)
                                               : options.family == known.name;
    if (fits) {
      family = &known;
      break;
    }
  }
  if (family == nullptr && options.family == "auto") {
    return absl::UnimplementedError(absl::StrCat(
        options.chat_template.empty() ? "the language model has no chat template"
                                      : "the language model's chat template is of no known family",
        ": looked for <|im_start|> (chatml), <|start_header_id|> (llama-3), <<SYS>> (llama-2), [INST] "
        "(mistral); "
        "set prompt.template in parley.json to one of: ",
        FamilyNames()));
  }
  if (family == nullptr) {
    return absl::UnimplementedError(absl::StrCat(
        "prompt.template '", options.family, "' in parley.json is not known; known: auto, ", FamilyNames()));
  }

  PromptLayout layout;
  layout.tokenizer_ = tokenizer;
  layout.family_ = std::string(family->name);
  layout.separator_ = options.separator;
  layout.system_ = options.system.empty() ? DefaultSystem(options.chat_template, *family) : options.system;
  layout.system_before_ = std::string(family->system_before);
  layout.system_after_ = std::string(family->system_after);
  layout.no_system_ = std::string(family->no_system);
  const auto encode = [&](absl::string_view text) { return tokenizer->Encode(text, SpecialTokens::kAllow); };
  layout.first_open_ = encode(family->first_open);
  layout.user_open_ = encode(family->user_open);
  layout.answer_open_ = encode(family->answer_open);
  layout.answer_close_ = encode(family->answer_close);

  // The token that closes an answer must be one token: as letters it would not close anything.
  const std::string close(absl::StripAsciiWhitespace(family->answer_close));
  const std::optional<TokenId> end = tokenizer->Find(close);
  if (!end.has_value() || layout.answer_close_.front() != *end) {
    return absl::InvalidArgumentError(absl::StrCat("prompt template '", layout.family_,
                                                   "' needs the special token ", close,
                                                   ", which the model's vocabulary lacks"));
  }
  for (const absl::string_view name : family->ends) {
    if (const std::optional<TokenId> id = tokenizer->Find(name)) layout.ends_.push_back(*id);
  }
  if (tokenizer->eos() >= 0) layout.ends_.push_back(tokenizer->eos());
  return layout;
}

std::vector<TokenId> PromptLayout::System(absl::string_view instructions) const {
  std::vector<TokenId> tokens;
  if (tokenizer_->add_bos()) tokens.push_back(tokenizer_->bos());
  const auto append = [&](absl::string_view text, SpecialTokens special) {
    const std::vector<TokenId> more = tokenizer_->Encode(text, special);
    tokens.insert(tokens.end(), more.begin(), more.end());
  };
  const absl::string_view words = instructions.empty() ? absl::string_view(system_) : instructions;
  if (words.empty()) {
    append(no_system_, SpecialTokens::kAllow);
    return tokens;
  }
  append(system_before_, SpecialTokens::kAllow);
  append(words, SpecialTokens::kRefuse);
  append(system_after_, SpecialTokens::kAllow);
  return tokens;
}

std::vector<TokenId> PromptLayout::UserPart(absl::string_view words, bool first_part) const {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(words);
  if (trimmed.empty()) return {};
  return tokenizer_->Encode(absl::StrCat(first_part ? "" : separator_, trimmed), SpecialTokens::kRefuse);
}

bool PromptLayout::EndsAnswer(TokenId id) const {
  return std::find(ends_.begin(), ends_.end(), id) != ends_.end();
}

}  // namespace parley::engine::text

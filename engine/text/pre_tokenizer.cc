#include "engine/text/pre_tokenizer.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/text/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace parley::engine::text {
namespace {

// The patterns are the models' own, with S standing for white space. PCRE2's \s also takes U+180E, which has
// not been white space since Unicode 6.3 and is not to Hugging Face.
constexpr absl::string_view kWhiteSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

struct Known {
  absl::string_view name;
  absl::string_view pattern;
  bool single_digits;  // each numeric character is split off before the pattern sees the text
  bool whole_pieces_first;
};

constexpr absl::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^@S\p{L}\p{N}]+|[@S]+(?![^@S])|[@S]+)";

constexpr Known kKnown[] = {
    {"smollm", kGpt2Pattern, true, false},
    {"gpt-2", kGpt2Pattern, false, false},
    {"llama-bpe",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^@S\p{L}\p{N}]+[\r\n]*|[@S]*[\r\n]+|[@S]+(?![^@S])|[@S]+)",
     false, true},
    {"qwen2",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^@S\p{L}\p{N}]+[\r\n]*|[@S]*[\r\n]+|[@S]+(?![^@S])|[@S]+)",
     false, false},
};

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct MatchContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
using Code = std::unique_ptr<pcre2_code, CodeDeleter>;
using MatchData = std::unique_ptr<pcre2_match_data, MatchDataDeleter>;
using MatchContext = std::unique_ptr<pcre2_match_context, MatchContextDeleter>;

absl::StatusOr<Code> Compile(absl::string_view pattern) {
  const std::string full = absl::StrReplaceAll(pattern, {{"@S", kWhiteSpace}});
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(full.data()), full.size(), PCRE2_UTF | PCRE2_UCP,
                          &error, &offset, nullptr));
  if (code == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return absl::InternalError(
        absl::StrCat("pre-tokenizer pattern, offset ", offset, ": ", reinterpret_cast<const char*>(message)));
  }
  // Where there is no JIT the interpreter does the same, slower.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

// Gives the matches and what lies between them.
void SplitBy(const pcre2_code* code, pcre2_match_context* context, pcre2_match_data* data,
             absl::string_view text, absl::FunctionRef<void(absl::string_view)> piece) {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t at = 0;
  while (at < text.size()) {
    const int found = pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, data, context);
    if (found < 0) {
      // No match, or one past the limits: the rest is one piece. The patterns take every character and hardly
      // look back, so that only a match limit gets here.
      piece(text.substr(at));
      return;
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data);
    if (range[0] > at) piece(text.substr(at, range[0] - at));
    if (range[1] > range[0]) piece(text.substr(range[0], range[1] - range[0]));
    at = range[1] > at ? range[1] : at + 1;
  }
}

class PatternPreTokenizer final : public PreTokenizer {
 public:
  PatternPreTokenizer(Code pattern, Code digit, bool whole_pieces_first)
      : pattern_(std::move(pattern)),
        digit_(std::move(digit)),
        context_(pcre2_match_context_create(nullptr)),
        whole_pieces_first_(whole_pieces_first) {
    pcre2_set_match_limit(context_.get(), 10'000'000);
    pcre2_set_depth_limit(context_.get(), 10'000);
    pcre2_set_heap_limit(context_.get(), 16 * 1024);  // KiB
  }

  void Split(absl::string_view text, absl::FunctionRef<void(absl::string_view)> piece) const override {
    const MatchData data(pcre2_match_data_create(1, nullptr));
    if (digit_ == nullptr) {
      SplitBy(pattern_.get(), context_.get(), data.get(), text, piece);
      return;
    }
    // The pattern sees each stretch between digits alone: its look-ahead must not see past the end of one.
    const MatchData digit_data(pcre2_match_data_create(1, nullptr));
    SplitBy(digit_.get(), context_.get(), digit_data.get(), text, [&](absl::string_view stretch) {
      SplitBy(pattern_.get(), context_.get(), data.get(), stretch, piece);
    });
  }

  bool whole_pieces_first() const override { return whole_pieces_first_; }

 private:
  const Code pattern_;
  const Code digit_;  // null: digits are the pattern's
  const MatchContext context_;
  const bool whole_pieces_first_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PreTokenizer>> PreTokenizer::Create(absl::string_view name) {
  for (const Known& known : kKnown) {
    if (known.name != name) continue;
    absl::StatusOr<Code> pattern = Compile(known.pattern);
    if (!pattern.ok()) return pattern.status();
    Code digit;
    if (known.single_digits) {
      absl::StatusOr<Code> compiled = Compile(R"(\p{N})");
      if (!compiled.ok()) return compiled.status();
      digit = *std::move(compiled);
    }
    return std::make_unique<PatternPreTokenizer>(*std::move(pattern), std::move(digit),
                                                 known.whole_pieces_first);
  }
  std::string names;
  for (const Known& known : kKnown) absl::StrAppend(&names, names.empty() ? "" : ", ", known.name);
  return absl::UnimplementedError(
      absl::StrCat("pre-tokenizer '", std::string(name), "' is not known; known: ", names));
}

}  // namespace parley::engine::text

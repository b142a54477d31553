#include "clients/cpp/parley_call/terminal.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace parley::client {
namespace {

constexpr char kReset[] = "\033[0m";
constexpr int kTextColumn = 18;  // where the text begins, for lines after the first

const char* CodeOf(Terminal::Style style) {
  switch (style) {
    case Terminal::Style::kPlain:
      return "";
    case Terminal::Style::kDim:
      return "\033[2m";
    case Terminal::Style::kBold:
      return "\033[1m";
    case Terminal::Style::kRed:
      return "\033[31m";
  }
  return "";
}

}  // namespace

Terminal::Terminal(std::ostream& out, bool color, const Clock* clock)
    : out_(out), color_(color), clock_(clock), start_(clock->Now()) {}

void Terminal::Line(const char* label, const std::string& text, Style style) {
  std::string line = absl::StrCat(Prefix(label, style), text);
  if (color_ && style != Style::kPlain) line += kReset;
  if (answer_open_) {
    held_.push_back(std::move(line));
  } else {
    out_ << line << std::endl;
  }
}

void Terminal::Answer(const std::string& text) {
  if (!answer_open_) {
    answer_open_ = true;
    out_ << Prefix("parley", Style::kBold);
  }
  out_ << absl::StrReplaceAll(text, {{"\n", absl::StrCat("\n", std::string(kTextColumn, ' '))}})
       << std::flush;
}

void Terminal::CloseAnswer(const char* mark) {
  if (!answer_open_) return;
  answer_open_ = false;
  out_ << mark;
  if (color_) out_ << kReset;
  out_ << "\n";
  for (const std::string& line : held_) out_ << line << "\n";
  held_.clear();
  out_ << std::flush;
}

std::string Terminal::Prefix(const char* label, Style style) const {
  return absl::StrFormat("%s%7.2f s  %-7s ", color_ ? CodeOf(style) : "",
                         absl::ToDoubleSeconds(clock_->Now() - start_), label);
}

}  // namespace parley::client

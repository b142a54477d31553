#include "server/config_file.h"

#include <map>
#include <regex>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/number_text.h"

namespace parley::server {
namespace {

class Line {
 public:
  Line(std::string text, int number) : text_(std::move(text)), number_(number) {}

  [[noreturn]] void Refuse(const std::string& why) const {
    throw CLI::ConfigError(absl::StrCat("line ", number_, " of the --config file: ", why),
                           CLI::ExitCodes::ConfigError);
  }
  int number() const { return number_; }
  bool AtEnd() {
    SkipSpace();
    return at_ == text_.size() || text_[at_] == '#';
  }
  bool Take(char c) {
    SkipSpace();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string Name() {
    SkipSpace();
    const size_t begin = at_;
    while (at_ < text_.size() && (absl::ascii_isalnum(text_[at_]) || text_[at_] == '-' || text_[at_] == '_'))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }
  std::string Value() {
    if (Take('"')) return Quoted('"');
    if (Take('\'')) return Quoted('\'');
    const size_t begin = at_;
    while (at_ < text_.size() && !absl::ascii_isspace(text_[at_]) && text_[at_] != '#') ++at_;
    std::string word = text_.substr(begin, at_ - begin);
    static const auto* const plain = new std::regex(R"(true|false|[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?)");
    if (word.empty()) Refuse("there is no value");
    if (HasZeroInFront(word)) Refuse(absl::StrCat("a number has no zero in front: ", word));
    if (!std::regex_match(word, *plain))
      Refuse("a value that is neither a number, nor true or false, stands in quotes, and there is one value");
    return word;
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  // A string in single quotes stands as it is.
  std::string Quoted(char quote) {
    std::string value;
    for (; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      if (c == quote) {
        ++at_;
        return value;
      }
      if (c == '\\' && quote == '"') {
        c = ++at_ < text_.size() ? text_[at_] : ' ';
        if (c != '\\' && c != '"') Refuse("in double quotes a \\ stands before another or a quote only");
      } else if (absl::ascii_iscntrl(c) && c != '\t') {
        Refuse("there is a control character in the value");
      }
      value += c;
    }
    Refuse(absl::StrCat("a string has no ", std::string(1, quote), " at its end"));
  }

  const std::string text_;
  const int number_;
  size_t at_ = 0;
};

}  // namespace

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& file) const {
  std::vector<CLI::ConfigItem> items;
  std::map<std::string, int> lines;  // where a name stands
  int number = 0;
  for (std::string text; std::getline(file, text);) {
    if (!text.empty() && text.back() == '\r') text.pop_back();
    Line line(std::move(text), ++number);
    if (line.AtEnd()) continue;
    if (line.Take('[')) line.Refuse("there are no sections here");
    const std::string name = line.Name();
    if (name.empty() || !line.Take('=')) line.Refuse("this is not name = value");
    if (!is_flag_(name)) line.Refuse(absl::StrCat("there is no flag --", name, " that a file may set"));
    if (const auto [at, is_new] = lines.emplace(name, number); !is_new)
      line.Refuse(absl::StrCat(name, " is set in line ", at->second, " already"));
    CLI::ConfigItem& item = items.emplace_back();
    item.name = name;
    item.inputs = {line.Value()};
    if (!line.AtEnd()) line.Refuse("there is more behind the value");
  }
  if (file.bad()) throw CLI::FileError("the --config file cannot be read", CLI::ExitCodes::FileError);
  return items;
}

}  // namespace parley::server

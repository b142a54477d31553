#include "engine/text/detokenizer.h"

#include "absl/strings/str_cat.h"
#include "engine/text/utf8.h"

namespace parley::engine::text {

std::string Detokenizer::Add(absl::string_view bytes) {
  absl::StrAppend(&pending_, bytes);
  std::string text;
  absl::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Unit unit = NextUtf8Unit(rest);
    if (unit.kind == Utf8Unit::kIncomplete) break;
    absl::StrAppend(&text,
                    unit.kind == Utf8Unit::kCharacter ? rest.substr(0, unit.size) : kReplacementCharacter);
    rest.remove_prefix(unit.size);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return text;
}

std::string Detokenizer::Finish() {
  const bool unfinished = !pending_.empty();
  pending_.clear();
  return unfinished ? std::string(kReplacementCharacter) : std::string();
}

}  // namespace parley::engine::text

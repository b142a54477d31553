// Tokens' bytes to text as they come: whole UTF-8 characters only.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace parley::engine::text {

// One answer's. A character whose bytes several tokens share comes out with its last one; bytes that cannot
// become a character come out as U+FFFD, one for each maximal subpart, as soon as that is certain.
class Detokenizer {
 public:
  std::string Add(absl::string_view bytes);
  // The end: an unfinished character is U+FFFD.
  std::string Finish();

 private:
  std::string pending_;  // the beginning of a character; at most 3 bytes
};

}  // namespace parley::engine::text

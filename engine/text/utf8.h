// UTF-8 as the Unicode standard defines it (table 3-7): shortest forms, no surrogates, up to U+10FFFF.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace parley::engine::text {

// What stands at the beginning of some bytes.
struct Utf8Unit {
  enum Kind {
    kCharacter,   // a whole character of `size` bytes
    kBroken,      // `size` bytes that cannot become a character, whatever follows
    kIncomplete,  // all bytes there are, the beginning of a character whose rest has not come
  };
  Kind kind = kBroken;
  size_t size = 1;
  char32_t code_point = 0;  // of a character
};

// REQUIRES: bytes is not empty. Broken units are maximal subparts (the standard's section 3.9): what one
// U+FFFD stands for, here and in Rust's from_utf8_lossy.
Utf8Unit NextUtf8Unit(absl::string_view bytes);

bool IsValidUtf8(absl::string_view bytes);

void AppendUtf8(char32_t code_point, std::string* out);

inline constexpr absl::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace parley::engine::text

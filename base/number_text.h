// Numbers that a program is given as text, by a flag or a file: decimal, whole where they count something,
// finite and in range. What C's conversions also take (nan, inf, hexadecimal, octal by a zero in front,
// spaces, a rest behind the number) is refused. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace parley {

// What is wrong with a text, in words that name it; empty: nothing. `range` is what --help shows.
struct NumberCheck {
  std::function<std::string(const std::string& text)> fault;
  std::string range;
};

// 16, -3; not 4.5, 1e3, 010.
NumberCheck WholeNumber(int64_t low, uint64_t high);
// 0.5, .5, 16, 1e-3; not nan, inf, 00.5.
NumberCheck FiniteNumber(double low, double high);

// Whether a zero stands before another digit: C's conversions read 010 as 8, and TOML forbids it.
bool HasZeroInFront(absl::string_view text);

}  // namespace parley

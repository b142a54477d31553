#include "base/number_text.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace parley {
namespace {

absl::string_view WithoutSign(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "-")) absl::ConsumePrefix(&text, "+");
  return text;
}

// The digits that `text` begins with are taken off it; whether there were any.
bool TakeDigits(absl::string_view& text) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) ++digits;
  text.remove_prefix(digits);
  return digits > 0;
}

bool IsWhole(absl::string_view text) {
  text = WithoutSign(text);
  return TakeDigits(text) && text.empty();
}

bool IsDecimal(absl::string_view text) {
  text = WithoutSign(text);
  bool any = TakeDigits(text);
  if (absl::ConsumePrefix(&text, ".")) any = TakeDigits(text) || any;
  if (!any) return false;
  if (text.empty()) return true;
  if (!absl::ConsumePrefix(&text, "e") && !absl::ConsumePrefix(&text, "E")) return false;
  return IsWhole(text);
}

bool InRange(absl::string_view whole, int64_t low, uint64_t high) {
  if (absl::StartsWith(whole, "-")) {
    int64_t value = 0;
    return absl::SimpleAtoi(whole, &value) && value >= low &&
           (value < 0 || static_cast<uint64_t>(value) <= high);
  }
  uint64_t value = 0;
  return absl::SimpleAtoi(whole, &value) && (low <= 0 || value >= static_cast<uint64_t>(low)) &&
         value <= high;
}

std::string ZeroInFront(const std::string& text) {
  return absl::StrCat("'", text, "' has a zero in front, which some take for octal: write it without");
}

}  // namespace

bool HasZeroInFront(absl::string_view text) {
  text = WithoutSign(text);
  return text.size() > 1 && text[0] == '0' && absl::ascii_isdigit(static_cast<unsigned char>(text[1]));
}

NumberCheck WholeNumber(int64_t low, uint64_t high) {
  NumberCheck check;
  check.range = absl::StrCat("INT in [", low, " - ", high, "]");
  check.fault = [low, high](const std::string& text) -> std::string {
    if (!IsWhole(text)) return absl::StrCat("'", text, "' is not a whole number");
    if (HasZeroInFront(text)) return ZeroInFront(text);
    if (!InRange(text, low, high)) return absl::StrCat(text, " is not from ", low, " to ", high);
    return "";
  };
  return check;
}

NumberCheck FiniteNumber(double low, double high) {
  NumberCheck check;
  check.range = absl::StrCat("FLOAT in [", low, " - ", high, "]");
  check.fault = [low, high](const std::string& text) -> std::string {
    if (!IsDecimal(text)) return absl::StrCat("'", text, "' is not a finite decimal number");
    if (HasZeroInFront(text)) return ZeroInFront(text);
    double value = 0;
    const bool in_range =
        absl::SimpleAtod(text, &value) && std::isfinite(value) && low <= value && value <= high;
    return in_range ? "" : absl::StrCat(text, " is not from ", low, " to ", high);
  };
  return check;
}

}  // namespace parley

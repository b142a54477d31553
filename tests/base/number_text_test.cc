#include "base/number_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace parley {
namespace {

using ::testing::HasSubstr;

TEST(WholeNumber, TakesItsRangeAndNothingBeside) {
  const NumberCheck check = WholeNumber(-3, 100);
  EXPECT_EQ(check.range, "INT in [-3 - 100]");
  for (const char* text : {"-3", "-0", "0", "+5", "10", "100"}) EXPECT_EQ(check.fault(text), "") << text;
  for (const char* text : {"-4", "101", "99999999999999999999999", "-99999999999999999999999"})
    EXPECT_THAT(check.fault(text), HasSubstr(std::string(text) + " is not from -3 to 100"));
  for (const char* text : {"", "-", "4.5", "5.0", "1e1", "0x10", "nan", "inf", "five", " 5", "5 ", "5s",
                           "1_0", "--5", "\xd9\xa5"})
    EXPECT_THAT(check.fault(text), HasSubstr("is not a whole number")) << text;
  for (const char* text : {"010", "00", "-01", "+08"})
    EXPECT_THAT(check.fault(text), HasSubstr("has a zero in front")) << text;
}

TEST(WholeNumber, TakesTheEndsOfBothKinds) {
  const NumberCheck all =
      WholeNumber(std::numeric_limits<int64_t>::min(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(all.fault("-9223372036854775808"), "");
  EXPECT_EQ(all.fault("18446744073709551615"), "");
  EXPECT_NE(all.fault("18446744073709551616"), "");
  EXPECT_NE(WholeNumber(5, 10).fault("-7"), "");
  EXPECT_NE(WholeNumber(5, 10).fault("4"), "");
}

TEST(FiniteNumber, TakesItsRangeAndNothingBeside) {
  const NumberCheck check = FiniteNumber(-0.5, 1e6);
  EXPECT_EQ(check.range, "FLOAT in [-0.5 - 1e+06]");
  for (const char* text : {"-0.5", "0", "0.25", ".25", "3.", "1e6", "1E-3", "+1.5e+2"})
    EXPECT_EQ(check.fault(text), "") << text;
  for (const char* text : {"-0.6", "1e7", "1e999", "-1e999"})
    EXPECT_THAT(check.fault(text), HasSubstr("is not from -0.5 to 1e+06")) << text;
  for (const char* text : {"nan", "NaN", "-nan", "nan(1)", "inf", "-inf", "Infinity", "0x1p3", "", ".", "e5",
                           "1e", "1e1.5", " 1", "1 ", "1s", "1,5", "much"})
    EXPECT_THAT(check.fault(text), HasSubstr("is not a finite decimal number")) << text;
  for (const char* text : {"01", "00.5", "-010.5"})
    EXPECT_THAT(check.fault(text), HasSubstr("has a zero in front")) << text;
}

}  // namespace
}  // namespace parley

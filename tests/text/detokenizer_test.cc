#include "engine/text/detokenizer.h"

#include <gtest/gtest.h>

#include "engine/text/utf8.h"

namespace parley::engine::text {
namespace {

TEST(DetokenizerTest, ACharacterComesOutWithItsLastByte) {
  Detokenizer detokenizer;
  EXPECT_EQ(detokenizer.Add("a\xF0"), "a");
  EXPECT_EQ(detokenizer.Add("\x9F\x98"), "");
  EXPECT_EQ(detokenizer.Add("\x80!"), "\xF0\x9F\x98\x80!");
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(DetokenizerTest, BytesThatCannotBecomeACharacterAreReplacedAsSoonAsThatIsCertain) {
  Detokenizer detokenizer;
  EXPECT_EQ(detokenizer.Add("\xFF"), "\uFFFD");
  EXPECT_EQ(detokenizer.Add("\xE2\x82"), "");
  EXPECT_EQ(detokenizer.Add("x"), "\uFFFDx");
  EXPECT_EQ(detokenizer.Add("\xED\xA0"), "\uFFFD\uFFFD");  // a surrogate's beginning
  EXPECT_EQ(detokenizer.Add("\xC3"), "");
  EXPECT_EQ(detokenizer.Finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(DetokenizerTest, TheTextDoesNotDependOnWhereTheBytesAreCut) {
  const std::string bytes =
      "a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80\xE2\x82\x41\xF4\x90\x80\xC0\xAF\xED\xB0\x80z";
  Detokenizer whole;
  const std::string expected = whole.Add(bytes) + whole.Finish();
  EXPECT_TRUE(IsValidUtf8(expected));
  for (size_t i = 0; i <= bytes.size(); ++i) {
    for (size_t j = i; j <= bytes.size(); ++j) {
      Detokenizer cut;
      std::string text;
      for (const std::string& part : {bytes.substr(0, i), bytes.substr(i, j - i), bytes.substr(j)}) {
        const std::string more = cut.Add(part);
        EXPECT_TRUE(IsValidUtf8(more));
        text += more;
      }
      EXPECT_EQ(text + cut.Finish(), expected);
    }
  }
}

}  // namespace
}  // namespace parley::engine::text

#include "engine/text/stop_strings.h"

#include <gtest/gtest.h>

namespace parley::engine::text {
namespace {

TEST(StopStringsTest, TextIsHeldBackOnlyAsFarAsItCouldBeAStopStringsBeginning) {
  StopStrings stop({"\n\nUser:"});
  EXPECT_EQ(stop.Add("Hello.\n"), "Hello.");
  EXPECT_EQ(stop.Add("World\n\nUs"), "\nWorld");
  EXPECT_EQ(stop.Add("e it"), "\n\nUse it");
  EXPECT_FALSE(stop.stopped());
  EXPECT_EQ(stop.Add("\n"), "");
  EXPECT_EQ(stop.Finish(), "\n");
}

TEST(StopStringsTest, AStopStringAcrossChunksEndsTheTextBeforeIt) {
  StopStrings stop({"END"});
  EXPECT_EQ(stop.Add("abcE"), "abc");
  EXPECT_EQ(stop.Add("N"), "");
  EXPECT_EQ(stop.Add("Dxyz"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.Add("more"), "");
  EXPECT_EQ(stop.Finish(), "");
}

TEST(StopStringsTest, OverlappingBeginningsAreNotLost) {
  StopStrings stop({"aab"});
  EXPECT_EQ(stop.Add("aa"), "");
  EXPECT_EQ(stop.Add("a"), "a");
  EXPECT_EQ(stop.Add("b"), "");
  EXPECT_TRUE(stop.stopped());
}

TEST(StopStringsTest, TheTextDoesNotDependOnWhereItIsCut) {
  const std::string text = "xxabcdxxbcabdab";
  for (const std::vector<std::string>& strings :
       {std::vector<std::string>{"bc", "abcd"}, {"abcd", "cdx"}, {"ab", "abc"}, {"dab"}, {"nothing"}, {""}}) {
    StopStrings whole(strings);
    std::string expected = whole.Add(text);
    expected += whole.Finish();
    for (size_t step = 1; step < text.size(); ++step) {
      StopStrings cut(strings);
      std::string got;
      for (size_t at = 0; at < text.size(); at += step) got += cut.Add(text.substr(at, step));
      got += cut.Finish();
      EXPECT_EQ(got, expected) << strings[0] << " cut by " << step;
      EXPECT_EQ(cut.stopped(), whole.stopped());
    }
  }
}

TEST(StopStringsTest, WithoutStopStringsTextPasses) {
  StopStrings stop({});
  EXPECT_EQ(stop.Add("abc"), "abc");
}

}  // namespace
}  // namespace parley::engine::text

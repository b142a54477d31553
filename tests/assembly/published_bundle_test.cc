// parley-small hears, sees and answers: short enough for a sanitizer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "engine/assembly/load.h"
#include "tests/assembly/talk.h"
#include "tests/reference/photo.h"
#include "tests/reference/wav.h"

namespace parley::engine::assembly {
namespace {

using ::testing::HasSubstr;

TEST(PublishedBundle, HearsSeesAndAnswers) {
  const char* folder = std::getenv("PARLEY_MODEL_DIR");
  ASSERT_NE(folder, nullptr);
  absl::StatusOr<LoadedBundle> loaded =
      LoadBundle({.bundle_dir = folder, .threads = 2, .kv_bytes = 64 << 20}, CpuKinds(), Clock::Real());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  Talk beside(*loaded->engine, false);
  beside.Type("Tell me a story.");
  beside.Answer(8);
  Talk talk(*loaded->engine, false);
  talk.Show(parley::testing::ReadPhoto("chelsea"));
  talk.Say(parley::testing::ReadClip("slt_capital"));
  talk.Answer(8);
  const std::vector<std::string> lines = talk.Lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("cat"));
  EXPECT_THAT(lines[1], HasSubstr("capital of France"));
  EXPECT_THAT(lines[2], HasSubstr("capital"));
  beside.Lines();
}

}  // namespace
}  // namespace parley::engine::assembly

// The alignment heads of a config.json.
#include "engine/whisper/config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace parley::engine::whisper {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string Json(int layers, const std::string& more = "") {
  return absl::StrCat(
      R"({"d_model": 512, "num_mel_bins": 80, "encoder_layers": 6, "encoder_attention_heads": 8,)",
      R"("encoder_ffn_dim": 2048, "decoder_layers": )", layers,
      R"(, "decoder_attention_heads": 8, "decoder_ffn_dim": 2048, "vocab_size": 51865,)",
      R"("max_source_positions": 1500, "max_target_positions": 448)", more, "}");
}

TEST(ConfigTest, WhisperBasesAlignmentHeadsAreKnown) {
  const auto config = ParseConfig(Json(6));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->alignment_heads, SizeIs(8));
}

TEST(ConfigTest, AnotherShapesAlignmentHeadsAreNot) {
  const auto config = ParseConfig(Json(5));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->alignment_heads, IsEmpty());
}

TEST(ConfigTest, AlignmentHeadsMayBeGiven) {
  const auto config = ParseConfig(Json(6, R"(, "alignment_heads": [[5, 7], [0, 0]])"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->alignment_heads, ElementsAre(AttentionHead{5, 7}, AttentionHead{0, 0}));
  const auto none = ParseConfig(Json(6, R"(, "alignment_heads": [])"));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(none->alignment_heads, IsEmpty());
}

TEST(ConfigTest, AlignmentHeadsThatAreNoneAreRefusedByName) {
  for (const char* wrong : {"7", "[7]", "[[1]]", "[[1, 2, 3]]", "[[6, 0]]", "[[0, 8]]", "[[-1, 0]]",
                            "[[0.5, 0]]", R"([["1", 0]])", "[[99999999999999, 0]]"}) {
    const auto config = ParseConfig(Json(6, absl::StrCat(R"(, "alignment_heads": )", wrong)));
    EXPECT_THAT(std::string(config.status().message()), HasSubstr("alignment_heads")) << wrong;
  }
}

}  // namespace
}  // namespace parley::engine::whisper

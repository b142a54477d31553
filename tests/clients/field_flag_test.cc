#include "clients/cpp/field_flag.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "parley/v1/parley.pb.h"

namespace parley::client {
namespace {

using ::testing::HasSubstr;

struct Flags {
  Flags() {
    AddFieldFlag(app, "--silence-ms", "Silence that ends a turn", &turn,
                 v1::TurnConfig::kSilenceMsFieldNumber);
    AddFieldFlag(app, "--top-p", "Only the likely", &generation, v1::GenerationConfig::kTopPFieldNumber);
    AddFieldFlag(app, "--top-k", "Only K", &generation, v1::GenerationConfig::kTopKFieldNumber);
    AddFieldFlag(app, "--seed", "The same", &generation, v1::GenerationConfig::kSeedFieldNumber);
  }
  v1::TurnConfig turn;
  v1::GenerationConfig generation;
  CLI::App app;
};

TEST(AddFieldFlag, HelpHasTheRangeAndTheDefaultOfTheContract) {
  Flags flags;
  flags.app.get_formatter()->column_width(20);
  const std::string help = flags.app.help();
  EXPECT_THAT(help, HasSubstr("Silence that ends a turn; 100 to 5000 [500]"));
  EXPECT_THAT(help, HasSubstr("Only the likely; more than 0, up to 1 [1]"));
  EXPECT_THAT(help, HasSubstr("Only K; 1 to 1000, or 0 (all) [0]"));
  EXPECT_THAT(help, HasSubstr("The same [0]"));
}

TEST(AddFieldFlag, SetsItsFieldOnlyWhenItIsGiven) {
  Flags flags;
  flags.app.parse("--top-p 0.5 --seed 18446744073709551615");
  EXPECT_FALSE(flags.turn.has_silence_ms());
  EXPECT_EQ(flags.generation.top_p(), 0.5f);
  EXPECT_EQ(flags.generation.seed(), 18446744073709551615u);
}

TEST(AddFieldFlag, ARangeIsTheServersToCheckAndWhatIsNoNumberIsRefused) {
  Flags flags;
  flags.app.parse("--silence-ms 1");
  EXPECT_EQ(flags.turn.silence_ms(), 1u);
  for (const char* wrong : {"--silence-ms x", "--silence-ms -1", "--silence-ms 4294967296", "--top-p nan",
                            "--top-p inf", "--top-k 1.5"}) {
    EXPECT_THROW(flags.app.parse(wrong), CLI::ParseError) << wrong;
  }
}

}  // namespace
}  // namespace parley::client

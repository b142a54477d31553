#include "proto/rules/field_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "parley/v1/parley.pb.h"

namespace parley::rules {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using ::testing::Optional;
using v1::FieldRules;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

FieldRules Between(double minimum, double maximum) {
  FieldRules rules;
  rules.set_minimum(minimum);
  rules.set_maximum(maximum);
  return rules;
}

TEST(RangeText, SaysEveryKindOfRange) {
  EXPECT_EQ(RangeText({}), "");
  EXPECT_EQ(RangeText(Between(0.05, 0.95)), "0.05 to 0.95");
  FieldRules age = Between(1'000, 86'400'000);
  age.set_zero_means("no limit");
  EXPECT_EQ(RangeText(age), "1000 to 86400000, or 0 (no limit)");
  FieldRules least;
  least.set_minimum(1);
  EXPECT_EQ(RangeText(least), "at least 1");
  FieldRules above;
  above.set_exclusive_minimum(0);
  EXPECT_EQ(RangeText(above), "more than 0");
  above.set_maximum(10);
  EXPECT_EQ(RangeText(above), "more than 0, up to 10");
  FieldRules angles;
  for (const double angle : {0, 90, 180, 270}) angles.add_values(angle);
  EXPECT_EQ(RangeText(angles), "0, 90, 180 or 270");
}

TEST(DefaultText, SaysEveryKindOfDefault) {
  FieldRules rules;
  EXPECT_EQ(DefaultText(rules), "");
  rules.set_default_number(0.3);
  EXPECT_EQ(DefaultText(rules), "0.3");
  rules.set_default_number(60'000);
  EXPECT_EQ(DefaultText(rules), "60000");
  rules.set_default_bool(false);
  EXPECT_EQ(DefaultText(rules), "false");
  rules.set_default_enum("VAD");
  EXPECT_EQ(DefaultText(rules), "VAD");
}

TEST(NumberFault, NamesPathValueRangeAndUnit) {
  FieldRules rules = Between(100, 5'000);
  rules.set_unit("ms");
  EXPECT_EQ(NumberFault(rules, "turn.silence_ms", 100), std::nullopt);
  EXPECT_EQ(NumberFault(rules, "turn.silence_ms", 5'000), std::nullopt);
  EXPECT_THAT(NumberFault(rules, "turn.silence_ms", 4'294'967'295.0),
              Optional(std::string("turn.silence_ms is 4294967295 ms; it takes 100 to 5000 ms")));
  rules.set_zero_means("no limit");
  EXPECT_EQ(NumberFault(rules, "x", 0), std::nullopt);
  EXPECT_THAT(NumberFault(rules, "x", 1),
              Optional(std::string("x is 1 ms; it takes 100 to 5000 ms, or 0 (no limit)")));
}

TEST(NumberFault, ABoundIsIncludedUnlessItIsExclusive) {
  FieldRules rules = Between(0, 1);
  EXPECT_EQ(NumberFault(rules, "x", 0), std::nullopt);
  EXPECT_EQ(NumberFault(rules, "x", 1), std::nullopt);
  rules.set_exclusive_minimum(0);
  EXPECT_THAT(NumberFault(rules, "x", 0), Optional(std::string("x is 0; it takes more than 0, up to 1")));
  EXPECT_EQ(NumberFault(rules, "x", 0.001), std::nullopt);
}

TEST(NumberFault, AFloatTakesTheBoundAsAFloat) {
  EXPECT_EQ(NumberFault(Between(0.3, 0.7), "x", 0.3f, true), std::nullopt);
  EXPECT_EQ(NumberFault(Between(0.3, 0.7), "x", 0.7f, true), std::nullopt);
  EXPECT_NE(NumberFault(Between(0.3, 0.7), "x", std::nextafter(0.3f, 0.0f), true), std::nullopt);
  EXPECT_NE(NumberFault(Between(0.3, 0.7), "x", std::nextafter(0.7f, 1.0f), true), std::nullopt);
}

TEST(NumberFault, NanIsInNoRangeAndInfinityIsOverEveryMaximum) {
  FieldRules least, most, above, one;
  least.set_minimum(0);
  most.set_maximum(1);
  above.set_exclusive_minimum(0);
  one.add_values(1);
  for (const FieldRules& rules : {least, most, above, one, Between(0, 1)}) {
    EXPECT_NE(NumberFault(rules, "x", kNan, true), std::nullopt) << rules.ShortDebugString();
  }
  EXPECT_NE(NumberFault(most, "x", kInfinity, true), std::nullopt);
  EXPECT_NE(NumberFault(least, "x", -kInfinity, true), std::nullopt);
  EXPECT_EQ(NumberFault({}, "x", kNan, true), std::nullopt) << "a number without a range takes any value";
}

TEST(FirstFault, FollowsSubmessagesAndNamesTheirPath) {
  v1::SessionConfig config;
  EXPECT_EQ(FirstFault(config), std::nullopt);
  config.mutable_turn()->mutable_interruption()->set_min_duration_ms(5'001);
  EXPECT_THAT(FirstFault(config),
              Optional(std::string("turn.interruption.min_duration_ms is 5001 ms; it takes 0 to 5000 ms")));
  config.mutable_turn()->set_silence_ms(0);  // set, though to 0, and before the other
  EXPECT_THAT(FirstFault(config), Optional(std::string("turn.silence_ms is 0 ms; it takes 100 to 5000 ms")));
}

TEST(FirstFault, AFieldWithoutPresenceIsUnsetWhenItIsZero) {
  v1::AudioFormat audio;
  audio.set_channels(0);
  EXPECT_EQ(FirstFault(audio), std::nullopt);
  audio.set_channels(3);
  EXPECT_THAT(FirstFault(audio), Optional(std::string("channels is 3; it takes 1 to 2")));
}

TEST(FirstFault, CountsStringsAndTheirBytes) {
  v1::GenerationConfig generation;
  for (int i = 0; i < 8; ++i) generation.add_stop(std::string(64, 'x'));
  EXPECT_EQ(FirstFault(generation), std::nullopt);
  generation.add_stop("x");
  EXPECT_THAT(FirstFault(generation), Optional(std::string("stop has 9 strings; it takes at most 8")));
  for (const size_t bytes : {0, 65}) {
    generation.Clear();
    generation.add_stop("x");
    generation.add_stop(std::string(bytes, 'x'));
    EXPECT_THAT(FirstFault(generation), Optional("stop has a string of " + std::to_string(bytes) +
                                                 " bytes; each takes 1 to 64 bytes"));
  }
}

TEST(FillDefaults, FillsWhatIsUnsetAndNothingElse) {
  v1::SessionConfig config;
  config.mutable_turn()->set_silence_ms(0);
  config.mutable_turn()->mutable_speculation()->set_enabled(false);
  config.mutable_audio();
  FillDefaults(config);
  EXPECT_EQ(config.turn().mode(), v1::TurnConfig::VAD);
  EXPECT_EQ(config.turn().start_threshold(), 0.5f);
  EXPECT_EQ(config.turn().silence_ms(), 0u) << "it was set";
  EXPECT_FALSE(config.turn().speculation().enabled()) << "it was set";
  EXPECT_EQ(config.turn().speculation().pause_ms(), 192u);
  EXPECT_EQ(config.audio().channels(), 1u);
  EXPECT_FALSE(config.turn().has_interruption()) << "a message that is unset stays so";
  EXPECT_FALSE(config.has_generation());
  v1::VideoPolicy policy;
  FillDefaults(policy);
  EXPECT_EQ(policy.silent_fps(), 0.3f);
}

// The fields of `type` and of the messages below it.
void Collect(const Descriptor* type, std::set<const Descriptor*>& seen,
             std::vector<const FieldDescriptor*>& to) {
  if (!seen.insert(type).second) return;
  for (int i = 0; i < type->field_count(); ++i) {
    to.push_back(type->field(i));
    if (type->field(i)->message_type() != nullptr) Collect(type->field(i)->message_type(), seen, to);
  }
}

TEST(Contract, ADefaultIsOfItsFieldsTypeAndInItsRange) {
  std::set<const Descriptor*> seen;
  std::vector<const FieldDescriptor*> fields;
  Collect(v1::ClientMessage::descriptor(), seen, fields);
  Collect(v1::ServerMessage::descriptor(), seen, fields);
  int defaults = 0;
  for (const FieldDescriptor* field : fields) {
    const FieldRules& rules = RulesOf(*field);
    const bool is_float = field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT;
    if (rules.default_value_case() != FieldRules::DEFAULT_VALUE_NOT_SET) ++defaults;
    switch (rules.default_value_case()) {
      case FieldRules::kDefaultNumber: {
        const bool is_whole = field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ||
                              field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
        EXPECT_TRUE(is_float || is_whole) << field->full_name();
        EXPECT_EQ(NumberFault(rules, field->full_name(), rules.default_number(), is_float), std::nullopt);
        break;
      }
      case FieldRules::kDefaultBool:
        EXPECT_EQ(field->cpp_type(), FieldDescriptor::CPPTYPE_BOOL) << field->full_name();
        break;
      case FieldRules::kDefaultEnum:
        ASSERT_NE(field->enum_type(), nullptr) << field->full_name();
        EXPECT_NE(field->enum_type()->FindValueByName(rules.default_enum()), nullptr) << field->full_name();
        break;
      case FieldRules::DEFAULT_VALUE_NOT_SET:
        break;
    }
    if (is_float && field->has_presence()) {
      EXPECT_TRUE(rules.has_maximum()) << field->full_name() << " takes infinity";
    }
  }
  EXPECT_GT(defaults, 20);
}

}  // namespace
}  // namespace parley::rules

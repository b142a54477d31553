#include "server/validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/rules/field_rules.h"
#include "server/convert.h"

namespace parley::server {
namespace {

v1::Limits TestLimits() {
  v1::Limits limits;
  limits.set_max_audio_chunk_bytes(100);
  limits.set_max_video_frame_bytes(200);
  limits.set_max_text_bytes(50);
  limits.set_max_instructions_bytes(60);
  limits.set_max_answer_tokens(512);
  return limits;
}

v1::SessionConfig Pcm() {
  v1::SessionConfig config;
  config.mutable_audio()->set_codec(v1::AudioFormat::PCM16);
  config.mutable_audio()->set_sample_rate_hz(16'000);
  return config;
}

v1::Code CodeOf(const ConfigOrFault& result) {
  const Fault* fault = std::get_if<Fault>(&result);
  return fault == nullptr ? v1::CODE_UNSPECIFIED : fault->code;
}

v1::Code Parse(const std::function<void(v1::SessionConfig&)>& change, Accepts accepts = {}) {
  v1::SessionConfig config;
  change(config);
  return CodeOf(ParseConfig(config, TestLimits(), accepts));
}

TEST(ParseConfig, UnsetFieldsTakeTheDefaultsOfTheContract) {
  const ConfigOrFault result = ParseConfig({}, TestLimits(), {});
  const auto* config = std::get_if<streaming::CallConfig>(&result);
  ASSERT_NE(config, nullptr);
  EXPECT_FALSE(config->audio.has_value());
  EXPECT_FALSE(config->video.has_value());
  EXPECT_FLOAT_EQ(config->turn.start_threshold, 0.5f);
  EXPECT_EQ(config->turn.min_speech, absl::Milliseconds(96));
  EXPECT_EQ(config->turn.prefix_padding, absl::Milliseconds(300));
  EXPECT_EQ(config->turn.silence, absl::Milliseconds(500));
  EXPECT_EQ(config->turn.max_turn, absl::Seconds(60));
  EXPECT_TRUE(config->turn.interruption_enabled);
  EXPECT_EQ(config->turn.interruption_min_duration, absl::Milliseconds(500));
  EXPECT_TRUE(config->turn.speculation.enabled);
  EXPECT_EQ(config->turn.speculation.max_retries, 5);
  EXPECT_EQ(config->turn.speculation.pause, absl::Milliseconds(192));
  EXPECT_EQ(config->generation.max_tokens, 256);
  EXPECT_FLOAT_EQ(config->generation.temperature, 0);
  EXPECT_FLOAT_EQ(config->generation.top_p, 1);
  EXPECT_FLOAT_EQ(config->video_policy.speaking_fps, 1);
  EXPECT_FLOAT_EQ(config->video_policy.silent_fps, 0.3f);
  EXPECT_FLOAT_EQ(config->video_policy.scene_threshold, 0.02f);
  EXPECT_EQ(config->context_policy.max_frames, 8);
  EXPECT_EQ(config->context_policy.max_frame_age, absl::InfiniteDuration());
  EXPECT_EQ(config->context_policy.max_frame_tokens, 0);
}

TEST(ParseConfig, WhatIsUnsetIsWhatACallConfigIsMadeWith) {
  const auto parsed = std::get<streaming::CallConfig>(ParseConfig({}, TestLimits(), {}));
  EXPECT_EQ(ToProto(parsed).DebugString(), ToProto(streaming::CallConfig{}).DebugString());
}

TEST(ParseConfig, ADefaultOverTheServersLimitIsTheLimit) {
  v1::Limits limits = TestLimits();
  limits.set_max_answer_tokens(100);
  EXPECT_EQ(std::get<streaming::CallConfig>(ParseConfig({}, limits, {})).generation.max_tokens, 100);
}

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Numbers that lie just outside of the field's range.
std::vector<double> JustOutside(const FieldDescriptor& field) {
  const v1::FieldRules& rules = rules::RulesOf(field);
  const bool is_float = field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT;
  const bool takes_zero = !field.has_presence() || !rules.zero_means().empty();
  const double step = is_float ? 0.001 : 1;
  std::vector<double> outside;
  if (rules.has_maximum()) outside.push_back(rules.maximum() + step);
  if (rules.has_exclusive_minimum()) outside.push_back(rules.exclusive_minimum());
  const double below = rules.minimum() - step;
  if (rules.has_minimum() && (is_float || below > 0 || (below == 0 && !takes_zero))) outside.push_back(below);
  if (is_float) outside.push_back(std::numeric_limits<double>::quiet_NaN());
  return outside;
}

void SetNumber(Message& message, const FieldDescriptor* field, double value) {
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
    message.GetReflection()->SetFloat(&message, field, static_cast<float>(value));
  } else {
    message.GetReflection()->SetUInt32(&message, field, static_cast<uint32_t>(value));
  }
}

// Sets each number below `message`, a part of `config` at `path`, to what lies just outside of its range.
void ExpectRefused(const v1::SessionConfig& config, Message& message, const std::string& path, int& refused) {
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const std::string name = absl::StrCat(path, path.empty() ? "" : ".", field->name());
    if (field->message_type() != nullptr) {
      ExpectRefused(config, *message.GetReflection()->MutableMessage(&message, field), name, refused);
      continue;
    }
    const std::unique_ptr<Message> before(message.New());
    before->CopyFrom(message);
    for (const double value : JustOutside(*field)) {
      SetNumber(message, field, value);
      const ConfigOrFault result = ParseConfig(config, TestLimits(), {});
      ASSERT_EQ(CodeOf(result), v1::INVALID_CONFIG) << name << " = " << value;
      EXPECT_THAT(std::get<Fault>(result).message, ::testing::StartsWith(absl::StrCat(name, " is ")));
      ++refused;
    }
    message.CopyFrom(*before);
  }
}

TEST(ParseConfig, WhatIsOutsideOfTheContractsRangesIsRefusedByName) {
  v1::SessionConfig config = Pcm();
  config.mutable_video()->set_codec(v1::VideoFormat::JPEG);
  int refused = 0;
  ExpectRefused(config, config, "", refused);
  EXPECT_GT(refused, 40);
}

TEST(ParseConfig, EveryRangeTakesItsEndsAndRefusesWhatIsOutside) {
  using C = v1::SessionConfig;
  struct Field {
    std::string name;
    std::function<void(C&, double)> set;
    std::vector<double> good;
    std::vector<double> bad;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<Field> fields = {
      {"start_threshold",
       [](C& c, double v) { c.mutable_turn()->set_start_threshold(v); },
       {0.05, 0.95},
       {0.04, 0.96, -1, nan, infinity}},
      {"min_speech_ms", [](C& c, double v) { c.mutable_turn()->set_min_speech_ms(v); }, {0, 2'000}, {2'001}},
      {"prefix_padding_ms",
       [](C& c, double v) { c.mutable_turn()->set_prefix_padding_ms(v); },
       {0, 2'000},
       {2'001}},
      {"silence_ms",
       [](C& c, double v) { c.mutable_turn()->set_silence_ms(v); },
       {100, 5'000},
       {0, 99, 5'001}},
      {"audio_idle_ms",
       [](C& c, double v) { c.mutable_turn()->set_audio_idle_ms(v); },
       {500, 60'000},
       {0, 499, 60'001}},
      {"max_turn_ms",
       [](C& c, double v) { c.mutable_turn()->set_max_turn_ms(v); },
       {1'000, 120'000},
       {999, 120'001}},
      {"min_duration_ms",
       [](C& c, double v) { c.mutable_turn()->mutable_interruption()->set_min_duration_ms(v); },
       {0, 5'000},
       {5'001, 4'294'967'295.0}},
      {"max_retries",
       [](C& c, double v) { c.mutable_turn()->mutable_speculation()->set_max_retries(v); },
       {0, 10},
       {11, 4'294'967'295.0}},
      {"pause_ms",
       [](C& c, double v) { c.mutable_turn()->mutable_speculation()->set_pause_ms(v); },
       {192, 2'000},
       {0, 191, 2'001}},
      {"max_tokens",
       [](C& c, double v) { c.mutable_generation()->set_max_tokens(v); },
       {1, 512},
       {0, 513, 4'294'967'295.0}},
      {"temperature",
       [](C& c, double v) { c.mutable_generation()->set_temperature(v); },
       {0, 2},
       {-0.01, 2.01, nan, infinity}},
      {"top_k",
       [](C& c, double v) { c.mutable_generation()->set_top_k(v); },
       {0, 1'000},
       {1'001, 4'294'967'295.0}},
      {"top_p", [](C& c, double v) { c.mutable_generation()->set_top_p(v); }, {0.001, 1}, {0, -1, 1.01, nan}},
      {"repetition_penalty",
       [](C& c, double v) { c.mutable_generation()->set_repetition_penalty(v); },
       {1, 2},
       {0.99, 2.01, nan}},
      {"speaking_fps",
       [](C& c, double v) { c.mutable_video_policy()->set_speaking_fps(v); },
       {0.001, 10},
       {0, 10.01, nan}},
      {"silent_fps",
       [](C& c, double v) { c.mutable_video_policy()->set_silent_fps(v); },
       {0.001, 10},
       {0, 10.01, nan}},
      {"scene_threshold",
       [](C& c, double v) { c.mutable_video_policy()->set_scene_threshold(v); },
       {0, 1},
       {-0.01, 1.01, nan}},
      {"max_frames",
       [](C& c, double v) { c.mutable_context_policy()->set_max_frames(v); },
       {1, 1'000},
       {0, 1'001, 4'294'967'295.0}},
      {"max_frame_age_ms",
       [](C& c, double v) { c.mutable_context_policy()->set_max_frame_age_ms(v); },
       {0, 1'000, 86'400'000},
       {1, 999, 86'400'001}},
      {"max_frame_tokens",
       [](C& c, double v) { c.mutable_context_policy()->set_max_frame_tokens(v); },
       {0, 1'000'000},
       {1'000'001, 4'294'967'295.0}},
      {"pcm rate",
       [](C& c, double v) {
         c = Pcm();
         c.mutable_audio()->set_sample_rate_hz(v);
       },
       {8'000, 48'000},
       {0, 7'999, 48'001}},
      {"opus rate",
       [](C& c, double v) {
         c.mutable_audio()->set_codec(v1::AudioFormat::OPUS);
         c.mutable_audio()->set_sample_rate_hz(v);
       },
       {0, 48'000},
       {16'000, 47'999}},
      {"channels",
       [](C& c, double v) {
         c = Pcm();
         c.mutable_audio()->set_channels(v);
       },
       {0, 1, 2},
       {3, 4'294'967'295.0}},
  };
  for (const Field& field : fields) {
    for (double value : field.good) {
      EXPECT_EQ(Parse([&](C& c) { field.set(c, value); }), v1::CODE_UNSPECIFIED)
          << field.name << " = " << value;
    }
    for (double value : field.bad) {
      EXPECT_EQ(Parse([&](C& c) { field.set(c, value); }), v1::INVALID_CONFIG)
          << field.name << " = " << value;
    }
  }
}

TEST(ParseConfig, UnknownEnumValuesAreRefused) {
  EXPECT_EQ(Parse([](auto& c) { c.mutable_audio(); }), v1::UNSUPPORTED_CODEC);
  EXPECT_EQ(Parse([](auto& c) { c.mutable_audio()->set_codec(static_cast<v1::AudioFormat::Codec>(9)); }),
            v1::UNSUPPORTED_CODEC);
  EXPECT_EQ(Parse([](auto& c) { c.mutable_video(); }), v1::UNSUPPORTED_CODEC);
  EXPECT_EQ(Parse([](auto& c) { c.mutable_video()->set_codec(static_cast<v1::VideoFormat::Codec>(-1)); }),
            v1::UNSUPPORTED_CODEC);
  EXPECT_EQ(Parse([](auto& c) { c.mutable_turn()->set_mode(static_cast<v1::TurnConfig::Mode>(7)); }),
            v1::INVALID_CONFIG);
}

TEST(ParseConfig, StopStringsAreBoundedInNumberAndLength) {
  EXPECT_EQ(Parse([](auto& c) {
              for (int i = 0; i < 8; ++i) c.mutable_generation()->add_stop(std::string(64, 'x'));
            }),
            v1::CODE_UNSPECIFIED);
  EXPECT_EQ(Parse([](auto& c) {
              for (int i = 0; i < 9; ++i) c.mutable_generation()->add_stop(std::string(1, 'x'));
            }),
            v1::INVALID_CONFIG);
  EXPECT_EQ(Parse([](auto& c) { c.mutable_generation()->add_stop(std::string()); }), v1::INVALID_CONFIG);
  EXPECT_EQ(Parse([](auto& c) { c.mutable_generation()->add_stop(std::string(65, 'x')); }),
            v1::INVALID_CONFIG);
}

TEST(ParseConfig, LongInstructionsAreTooLarge) {
  EXPECT_EQ(Parse([](auto& c) { c.set_instructions(std::string(60, 'x')); }), v1::CODE_UNSPECIFIED);
  EXPECT_EQ(Parse([](auto& c) { c.set_instructions(std::string(61, 'x')); }), v1::TOO_LARGE);
}

TEST(ParseConfig, WhatTheBundleCannotTakeIsRefused) {
  auto audio = [](v1::SessionConfig& c) { c = Pcm(); };
  auto manual = [](v1::SessionConfig& c) {
    c = Pcm();
    c.mutable_turn()->set_mode(v1::TurnConfig::MANUAL);
  };
  auto video = [](v1::SessionConfig& c) { c.mutable_video()->set_codec(v1::VideoFormat::JPEG); };
  EXPECT_EQ(Parse(audio, {.audio = false}), v1::INVALID_CONFIG);
  EXPECT_EQ(Parse(video, {.video = false}), v1::INVALID_CONFIG);
  EXPECT_EQ(Parse(audio, {.speech_detection = false}), v1::INVALID_CONFIG);
  EXPECT_EQ(Parse(manual, {.speech_detection = false}), v1::CODE_UNSPECIFIED);
}

TEST(ParseConfig, EchoOfWhatIsInForceParsesToTheSame) {
  v1::SessionConfig config = Pcm();
  config.mutable_video()->set_codec(v1::VideoFormat::VP9);
  config.mutable_turn()->set_silence_ms(700);
  config.mutable_generation()->add_stop(std::string(2, '\n'));
  config.mutable_generation()->set_seed(std::numeric_limits<uint64_t>::max());
  const auto first = std::get<streaming::CallConfig>(ParseConfig(config, TestLimits(), {}));
  const auto second = std::get<streaming::CallConfig>(ParseConfig(ToProto(first), TestLimits(), {}));
  EXPECT_EQ(ToProto(first).SerializeAsString(), ToProto(second).SerializeAsString());
}

class ApplyUpdateTest : public ::testing::Test {
 protected:
  ConfigOrFault Apply(std::initializer_list<const char*> paths) {
    for (const char* path : paths) update_.mutable_update_mask()->add_paths(path);
    return ApplyUpdate(update_, std::get<streaming::CallConfig>(ParseConfig(open_, TestLimits(), {})),
                       TestLimits(), {});
  }
  v1::SessionConfig open_ = Pcm();
  v1::SessionUpdate update_;
};

TEST_F(ApplyUpdateTest, OnlyMaskedPathsAreRead) {
  open_.mutable_turn()->set_min_speech_ms(200);
  update_.mutable_config()->mutable_turn()->set_silence_ms(800);
  update_.mutable_config()->mutable_turn()->set_min_speech_ms(1);
  const ConfigOrFault result = Apply({"turn.silence_ms"});
  const auto* config = std::get_if<streaming::CallConfig>(&result);
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->turn.silence, absl::Milliseconds(800));
  EXPECT_EQ(config->turn.min_speech, absl::Milliseconds(200));
  EXPECT_TRUE(config->audio.has_value());
}

TEST_F(ApplyUpdateTest, MaskedFieldLeftUnsetGoesBackToItsDefault) {
  open_.mutable_turn()->set_silence_ms(800);
  open_.mutable_generation()->add_stop(std::string(1, 'x'));
  const ConfigOrFault result = Apply({"turn", "generation.stop"});
  const auto* config = std::get_if<streaming::CallConfig>(&result);
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->turn.silence, absl::Milliseconds(500));
  EXPECT_TRUE(config->generation.stop.empty());
}

TEST_F(ApplyUpdateTest, NestedInterruptionCanBeChanged) {
  update_.mutable_config()->mutable_turn()->mutable_interruption()->set_enabled(false);
  const ConfigOrFault result = Apply({"turn.interruption.enabled"});
  const auto* config = std::get_if<streaming::CallConfig>(&result);
  ASSERT_NE(config, nullptr);
  EXPECT_FALSE(config->turn.interruption_enabled);
}

TEST_F(ApplyUpdateTest, NestedSpeculationCanBeChanged) {
  update_.mutable_config()->mutable_turn()->mutable_speculation()->set_max_retries(0);
  const ConfigOrFault result = Apply({"turn.speculation"});
  const auto* config = std::get_if<streaming::CallConfig>(&result);
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->turn.speculation.max_retries, 0);
  EXPECT_TRUE(config->turn.speculation.enabled);
}

TEST_F(ApplyUpdateTest, EmptyMaskIsRefused) { EXPECT_EQ(CodeOf(Apply({})), v1::INVALID_MESSAGE); }
TEST_F(ApplyUpdateTest, UnknownPathIsRefused) { EXPECT_EQ(CodeOf(Apply({"turn.nope"})), v1::INVALID_CONFIG); }
TEST_F(ApplyUpdateTest, APathThatNamesNoFieldExactlyIsRefusedByName) {
  for (const char* path :
       {"", ".", "turn.", ".turn", "turn..mode", "turn.mode.", "turn. mode", " turn", "turn ", "*", "turn.*",
        "turn,generation", "Turn", "turn.silenceMs", "generation.stop.0", "turn.mode.x", "turn/mode"}) {
    update_.Clear();
    const ConfigOrFault result = Apply({path});
    ASSERT_EQ(CodeOf(result), v1::INVALID_CONFIG) << path;
    EXPECT_THAT(std::get<Fault>(result).message, ::testing::HasSubstr(absl::StrCat("'", path, "'")));
  }
}
TEST_F(ApplyUpdateTest, APathThatComesTwiceOrWithItsParentActsOnce) {
  update_.mutable_config()->mutable_turn()->set_silence_ms(800);
  const ConfigOrFault result = Apply({"turn.silence_ms", "turn", "turn.silence_ms"});
  const auto* config = std::get_if<streaming::CallConfig>(&result);
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->turn.silence, absl::Milliseconds(800));
}
TEST_F(ApplyUpdateTest, FixedFieldsAreRefused) {
  EXPECT_EQ(CodeOf(Apply({"turn", "audio"})), v1::INVALID_CONFIG);
  update_.Clear();
  EXPECT_EQ(CodeOf(Apply({"instructions"})), v1::INVALID_CONFIG);
}
TEST_F(ApplyUpdateTest, ValueOutOfItsRangeIsRefused) {
  update_.mutable_config()->mutable_turn()->set_silence_ms(1);
  EXPECT_EQ(CodeOf(Apply({"turn.silence_ms"})), v1::INVALID_CONFIG);
}

class CheckMessageTest : public ::testing::Test {
 protected:
  CheckMessageTest() {
    v1::SessionConfig config = Pcm();
    config.mutable_video()->set_codec(v1::VideoFormat::JPEG);
    state_.config = std::get<streaming::CallConfig>(ParseConfig(config, TestLimits(), {}));
  }
  v1::Code Check(v1::ClientMessage message) {
    if (message.seq() == 0) message.set_seq(state_.last_seq + 1);
    fault_ = CheckMessage(message, TestLimits(), state_);
    return fault_.has_value() ? fault_->code : v1::CODE_UNSPECIFIED;
  }
  static v1::ClientMessage Audio(size_t bytes) {
    v1::ClientMessage message;
    message.mutable_audio()->set_data(std::string(bytes, '\0'));
    return message;
  }
  static v1::ClientMessage Video(uint64_t id, size_t bytes = 10, uint32_t rotation = 0) {
    v1::ClientMessage message;
    message.mutable_video()->set_data(std::string(bytes, '\0'));
    message.mutable_video()->set_frame_id(id);
    message.mutable_video()->set_rotation_degrees(rotation);
    return message;
  }
  InboundState state_;
  std::optional<Fault> fault_;
};

TEST_F(CheckMessageTest, SequenceMustCountByOnesFromOne) {
  v1::ClientMessage ping;
  ping.mutable_ping();
  ping.set_seq(2);
  EXPECT_EQ(Check(ping), v1::INVALID_SEQUENCE);
  EXPECT_TRUE(fault_->fatal);
  ping.set_seq(1);
  EXPECT_EQ(Check(ping), v1::CODE_UNSPECIFIED);
  EXPECT_EQ(Check(ping), v1::INVALID_SEQUENCE) << "a repeat";
}

TEST_F(CheckMessageTest, ContentBeforeOpenIsNotOpen) {
  state_ = {};
  for (auto make : std::vector<std::function<void(v1::ClientMessage&)>>{
           [](auto& m) { m.mutable_update(); }, [](auto& m) { m.mutable_audio(); },
           [](auto& m) { m.mutable_video(); }, [](auto& m) { m.mutable_text(); },
           [](auto& m) { m.mutable_activity_start(); }, [](auto& m) { m.mutable_activity_end(); },
           [](auto& m) { m.mutable_audio_stream_end(); }, [](auto& m) { m.mutable_commit(); },
           [](auto& m) { m.mutable_clear(); }, [](auto& m) { m.mutable_create_response(); },
           [](auto& m) { m.mutable_cancel_response(); }, [](auto& m) { m.mutable_playback_ack(); },
           [](auto& m) { m.mutable_ping(); }, [](auto& m) { m.mutable_close(); }}) {
    v1::ClientMessage message;
    make(message);
    EXPECT_EQ(Check(message), v1::NOT_OPEN) << message.ShortDebugString();
  }
}

TEST_F(CheckMessageTest, EmptyPayloadIsRefused) { EXPECT_EQ(Check({}), v1::INVALID_MESSAGE); }

TEST_F(CheckMessageTest, SecondOpenIsRefusedAndTheCallGoesOn) {
  v1::ClientMessage open;
  open.mutable_open();
  EXPECT_EQ(Check(open), v1::ALREADY_OPEN);
  EXPECT_FALSE(fault_->fatal);
}

TEST_F(CheckMessageTest, AudioChunksAreWholeSamplesWithinTheLimit) {
  EXPECT_EQ(Check(Audio(100)), v1::CODE_UNSPECIFIED);
  EXPECT_EQ(Check(Audio(0)), v1::INVALID_MESSAGE);
  EXPECT_EQ(Check(Audio(3)), v1::INVALID_MESSAGE);
  EXPECT_EQ(Check(Audio(102)), v1::TOO_LARGE);
  state_.config->audio->channels = 2;
  EXPECT_EQ(Check(Audio(6)), v1::INVALID_MESSAGE);
  state_.config->audio->codec = streaming::AudioCodec::kOpus;
  EXPECT_EQ(Check(Audio(3)), v1::CODE_UNSPECIFIED);
  state_.config->audio.reset();
  EXPECT_EQ(Check(Audio(4)), v1::INVALID_MESSAGE);
}

TEST_F(CheckMessageTest, VideoFramesHaveRisingIdsRightAnglesAndTheLimit) {
  EXPECT_EQ(Check(Video(0)), v1::INVALID_SEQUENCE);
  EXPECT_FALSE(fault_->fatal) << "only the frame is lost";
  EXPECT_EQ(Check(Video(5, 200, 270)), v1::CODE_UNSPECIFIED);
  EXPECT_EQ(Check(Video(5)), v1::INVALID_SEQUENCE);
  EXPECT_EQ(Check(Video(4)), v1::INVALID_SEQUENCE);
  EXPECT_EQ(Check(Video(6, 10, 45)), v1::INVALID_MESSAGE);
  EXPECT_EQ(Check(Video(6, 201)), v1::TOO_LARGE);
  EXPECT_EQ(Check(Video(6, 0)), v1::INVALID_MESSAGE);
  EXPECT_EQ(Check(Video(6)), v1::CODE_UNSPECIFIED) << "a refused frame does not use up its id";
  state_.config->video.reset();
  EXPECT_EQ(Check(Video(7)), v1::INVALID_MESSAGE);
}

TEST_F(CheckMessageTest, TextIsNeitherEmptyNorTooLong) {
  v1::ClientMessage message;
  message.mutable_text();
  EXPECT_EQ(Check(message), v1::INVALID_MESSAGE);
  message.mutable_text()->set_text(std::string(50, 'x'));
  EXPECT_EQ(Check(message), v1::CODE_UNSPECIFIED);
  message.mutable_text()->set_text(std::string(51, 'x'));
  EXPECT_EQ(Check(message), v1::TOO_LARGE);
}

TEST_F(CheckMessageTest, ActivityNeedsManualMode) {
  v1::ClientMessage message;
  message.mutable_activity_start();
  EXPECT_EQ(Check(message), v1::WRONG_MODE);
  EXPECT_FALSE(fault_->fatal);
  state_.config->turn.mode = streaming::TurnMode::kManual;
  EXPECT_EQ(Check(message), v1::CODE_UNSPECIFIED);
}

TEST(PolicyOf, EveryCodeSaysWhatItDoesToTheCall) {
  // code -> fatal, retryable
  const std::vector<std::tuple<v1::Code, bool, bool>> table = {
      {v1::INVALID_SEQUENCE, true, false},
      {v1::INVALID_CONFIG, false, false},
      {v1::INVALID_MESSAGE, false, false},
      {v1::NOT_OPEN, true, false},
      {v1::ALREADY_OPEN, false, false},
      {v1::UNSUPPORTED_CODEC, false, false},
      {v1::UNDECODABLE_AUDIO, false, false},
      {v1::TOO_LARGE, false, false},
      {v1::AUDIO_GAP, false, false},
      {v1::AUDIO_OVERLAP, false, false},
      {v1::WRONG_MODE, false, false},
      {v1::UNKNOWN_RESPONSE, false, false},
      {v1::CONTEXT_FULL, true, true},
      {v1::SLOW_READER, true, true},
      {v1::SHUTTING_DOWN, true, true},
      {v1::AT_CAPACITY, true, true},
      {v1::DEADLINE, true, true},
      {v1::ENGINE_FAILED, true, true},
      {v1::INTERNAL, true, false},
  };
  EXPECT_EQ(table.size() + 1, static_cast<size_t>(v1::Code_descriptor()->value_count()))
      << "a code without a row";
  for (const auto& [code, fatal, retryable] : table) {
    EXPECT_EQ(PolicyOf(code).fatal, fatal) << v1::Code_Name(code);
    EXPECT_EQ(PolicyOf(code).retryable, retryable) << v1::Code_Name(code);
    EXPECT_NE(PolicyOf(code).status, grpc::StatusCode::OK);
  }
}

}  // namespace
}  // namespace parley::server

// Made by proto/generate from the rules in proto/parley/v1/parley.proto; a change is made there.
//
// What the fields of a parley.v1.SessionConfig take, and what they are when they are unset, in the units of
// their names: for what knows no Protobuf.
#pragma once

#include <cstdint>

namespace parley::contract {

struct AudioFormat {
  static constexpr int kSampleRateHzMinimum = 8'000;
  static constexpr int kSampleRateHzMaximum = 48'000;
  static constexpr int kChannelsMinimum = 1;
  static constexpr int kChannelsMaximum = 2;
  static constexpr int kChannelsDefault = 1;
  static constexpr bool kDtxDefault = false;
};

struct TurnConfig {
  static constexpr float kStartThresholdMinimum = 0.05f;
  static constexpr float kStartThresholdMaximum = 0.95f;
  static constexpr float kStartThresholdDefault = 0.5f;
  static constexpr int kMinSpeechMsMinimum = 0;
  static constexpr int kMinSpeechMsMaximum = 2'000;
  static constexpr int kMinSpeechMsDefault = 96;
  static constexpr int kPrefixPaddingMsMinimum = 0;
  static constexpr int kPrefixPaddingMsMaximum = 2'000;
  static constexpr int kPrefixPaddingMsDefault = 300;
  static constexpr int kSilenceMsMinimum = 100;
  static constexpr int kSilenceMsMaximum = 5'000;
  static constexpr int kSilenceMsDefault = 500;
  static constexpr int kMaxTurnMsMinimum = 1'000;
  static constexpr int kMaxTurnMsMaximum = 120'000;
  static constexpr int kMaxTurnMsDefault = 60'000;
  static constexpr int kAudioIdleMsMinimum = 500;
  static constexpr int kAudioIdleMsMaximum = 60'000;
  static constexpr int kAudioIdleMsDefault = 3'000;
};

struct GenerationConfig {
  static constexpr int kMaxTokensMinimum = 1;
  static constexpr int kMaxTokensDefault = 256;
  static constexpr float kTemperatureMinimum = 0.0f;
  static constexpr float kTemperatureMaximum = 2.0f;
  static constexpr float kTemperatureDefault = 0.0f;
  static constexpr int kTopKMinimum = 1;
  static constexpr int kTopKMaximum = 1'000;
  static constexpr int kTopKDefault = 0;
  static constexpr float kTopPExclusiveMinimum = 0.0f;
  static constexpr float kTopPMaximum = 1.0f;
  static constexpr float kTopPDefault = 1.0f;
  static constexpr float kRepetitionPenaltyMinimum = 1.0f;
  static constexpr float kRepetitionPenaltyMaximum = 2.0f;
  static constexpr float kRepetitionPenaltyDefault = 1.0f;
  static constexpr uint64_t kSeedDefault = 0;
};

struct VideoPolicy {
  static constexpr float kSpeakingFpsExclusiveMinimum = 0.0f;
  static constexpr float kSpeakingFpsMaximum = 10.0f;
  static constexpr float kSpeakingFpsDefault = 1.0f;
  static constexpr float kSilentFpsExclusiveMinimum = 0.0f;
  static constexpr float kSilentFpsMaximum = 10.0f;
  static constexpr float kSilentFpsDefault = 0.3f;
  static constexpr float kSceneThresholdMinimum = 0.0f;
  static constexpr float kSceneThresholdMaximum = 1.0f;
  static constexpr float kSceneThresholdDefault = 0.02f;
};

struct ContextPolicy {
  static constexpr int kMaxFramesMinimum = 1;
  static constexpr int kMaxFramesMaximum = 1'000;
  static constexpr int kMaxFramesDefault = 8;
  static constexpr int kMaxFrameAgeMsMinimum = 1'000;
  static constexpr int kMaxFrameAgeMsMaximum = 86'400'000;
  static constexpr int kMaxFrameAgeMsDefault = 0;
  static constexpr int kMaxFrameTokensMinimum = 1;
  static constexpr int kMaxFrameTokensMaximum = 1'000'000;
  static constexpr int kMaxFrameTokensDefault = 0;
};

struct Interruption {
  static constexpr bool kEnabledDefault = true;
  static constexpr int kMinDurationMsMinimum = 0;
  static constexpr int kMinDurationMsMaximum = 5'000;
  static constexpr int kMinDurationMsDefault = 500;
};

struct Speculation {
  static constexpr bool kEnabledDefault = true;
  static constexpr int kMaxRetriesMinimum = 0;
  static constexpr int kMaxRetriesMaximum = 10;
  static constexpr int kMaxRetriesDefault = 5;
  static constexpr int kPauseMsMinimum = 192;
  static constexpr int kPauseMsMaximum = 2'000;
  static constexpr int kPauseMsDefault = 192;
};

}  // namespace parley::contract

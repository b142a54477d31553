// What a media source gives: one encoded piece of sound or picture, ready to be sent.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace parley::client::media {

struct Item {
  enum class Kind { kAudio, kVideo };
  Kind kind = Kind::kAudio;
  std::string data;
  absl::Duration due;       // from the media's start: when a live source would have it
  absl::Duration captured;  // from the media's start: when its content happened; audio: its last sample
  uint64_t first_sample_index = 0;  // audio: 48 kHz samples of one channel
  uint32_t rotation_degrees = 0;    // video: clockwise turn that brings the picture upright
};

enum class AudioCodec { kOpus, kPcm16 };

inline constexpr int kSampleRateHz = 48'000;
inline constexpr int kChunkSamples = kSampleRateHz / 50;  // 20 ms

}  // namespace parley::client::media

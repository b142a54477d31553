// How much audio a client has sent, by what its chunks say: nothing is decoded for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "parley/v1/parley.pb.h"
#include "streaming/audio/audio_input.h"

namespace parley::server {

// Not thread-safe.
class AudioMeter {
 public:
  // Seconds of audio known with this chunk that were not before. REQUIRES: it was checked.
  double Take(const v1::AudioChunk& audio, const streaming::AudioFormat& format) {
    double seconds = 0;
    if (format.codec == streaming::AudioCodec::kPcm16) {
      seconds = static_cast<double>(audio.data().size()) / (2.0 * format.channels) / format.sample_rate_hz;
    } else if (next_sample_.has_value() && audio.first_sample_index() > *next_sample_) {
      // A packet's length is known once the next one begins; a gap is not audio.
      constexpr uint64_t kLongestPacket = 48'000 * 120 / 1'000;
      seconds = static_cast<double>(std::min(audio.first_sample_index() - *next_sample_, kLongestPacket)) /
                format.sample_rate_hz;
    }
    next_sample_ = audio.first_sample_index();
    return seconds;
  }

 private:
  std::optional<uint64_t> next_sample_;  // where the last Opus packet began
};

}  // namespace parley::server

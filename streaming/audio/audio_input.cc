#include "streaming/audio/audio_input.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proto/constants/call_config.h"
#include "streaming/audio/opus_input.h"
#include "streaming/audio/pcm_input.h"

namespace parley::streaming {

absl::StatusOr<std::unique_ptr<AudioInput>> AudioInput::Create(const AudioFormat& format, int max_gap_ms) {
  if (format.channels != 1 && format.channels != 2) {
    return absl::InvalidArgumentError(absl::StrCat(format.channels, " audio channels; 1 or 2 are taken"));
  }
  const uint64_t max_gap_samples = static_cast<uint64_t>(std::max(0, max_gap_ms)) *
                                   static_cast<uint64_t>(std::max(0, format.sample_rate_hz)) / 1000;
  switch (format.codec) {
    case AudioCodec::kOpus:
      if (format.sample_rate_hz != OpusInput::kWireRateHz) {
        return absl::InvalidArgumentError(
            absl::StrCat("Opus at ", format.sample_rate_hz, " Hz; its sample indices count at 48000 Hz"));
      }
      return OpusInput::Create(format, max_gap_samples);
    case AudioCodec::kPcm16: {
      constexpr int kLow = contract::AudioFormat::kSampleRateHzMinimum;
      constexpr int kHigh = contract::AudioFormat::kSampleRateHzMaximum;
      if (format.sample_rate_hz < kLow || format.sample_rate_hz > kHigh) {
        return absl::InvalidArgumentError(
            absl::StrCat("PCM16 at ", format.sample_rate_hz, " Hz; ", kLow, " to ", kHigh, " Hz are taken"));
      }
      return PcmInput::Create(format, max_gap_samples);
    }
  }
  return absl::InvalidArgumentError("unknown audio codec");
}

}  // namespace parley::streaming

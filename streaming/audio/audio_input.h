// One call's microphone: packets in, samples on the call's clock out.
//
// Opus packets or PCM16 chunks, each with the index of its first sample at the declared rate, become one
// continuous mono signal at engine::kSampleRateHz. A gap is filled (Opus: in-band FEC where the next packet has
// it, else concealment; PCM: silence), samples that were heard already are dropped; both are reported, nothing
// is dropped silently. Bytes come from outside: any bytes at all give a status at worst.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/api/media.h"

namespace parley::streaming {

enum class AudioCodec { kPcm16, kOpus };

struct AudioFormat {
  AudioCodec codec = AudioCodec::kPcm16;
  int sample_rate_hz = 16'000;  // 8,000 to 48,000; Opus: 48,000
  int channels = 1;             // 1 or 2, averaged
  friend bool operator==(const AudioFormat&, const AudioFormat&) = default;
};

// What one chunk became.
struct AudioSamples {
  std::vector<float> samples;      // mono at engine::kSampleRateHz
  int64_t first_sample = 0;        // index of samples[0] at engine::kSampleRateHz
  // At the declared rate:
  int64_t concealed_samples = 0;   // filled in for a gap
  int64_t repeated_samples = 0;    // dropped, heard already
};

// Not thread-safe: used by one strand.
class AudioInput {
 public:
  virtual ~AudioInput() = default;

  // INVALID_ARGUMENT when the format is out of range.
  static absl::StatusOr<std::unique_ptr<AudioInput>> Create(const AudioFormat& format, int max_gap_ms);

  // INVALID_ARGUMENT: empty, half a sample, or damaged beyond concealment (the chunk counts as lost);
  // OUT_OF_RANGE: a gap over max_gap_ms. After an error the next chunk is taken as if this one had not come.
  virtual absl::StatusOr<AudioSamples> Push(std::string_view data, uint64_t first_sample_index) = 0;
  // What the resampler still holds; the signal may go on afterwards.
  virtual AudioSamples Flush() = 0;
  // Samples at the declared rate for an index at engine::kSampleRateHz.
  virtual uint64_t ToWireIndex(int64_t sample) const = 0;
};

}  // namespace parley::streaming

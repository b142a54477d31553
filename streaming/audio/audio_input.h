// One call's microphone: packets in, samples on the call's clock out.
//
// Opus packets or PCM16 chunks, each with the index of its first sample at the declared rate, become one
// continuous mono signal at engine::kSampleRateHz, in which sample n is the sound at time n / kSampleRateHz.
// Audio starts at the first chunk's index, whatever that is: nothing is filled in before it. From then on a
// gap is filled (Opus: in-band FEC where the next packet has it, else concealment; PCM: silence) and samples
// that were heard already are dropped; both are reported, nothing is dropped silently. Bytes come from
// outside: any bytes at all give a status at worst.
//
// Opus is decoded at 16 kHz, not at 48 kHz and then resampled: every packet length (2.5 ms and its multiples)
// is a whole number of samples there, so the clock stays exact, and the decoder leaves out what nobody hears.
// The encoder's own look-ahead (6.5 ms in libopus) is part of the signal: a packet does not tell it.
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
  int sample_rate_hz = 16'000;  // in the range of parley.v1.AudioFormat; Opus: 48,000
  int channels = 1;             // 1 or 2, averaged
  bool dtx = false;             // silence is not sent
  friend bool operator==(const AudioFormat&, const AudioFormat&) = default;
};

// What one chunk became.
struct AudioSamples {
  std::vector<float> samples;  // mono at engine::kSampleRateHz
  int64_t first_sample = 0;    // index of samples[0] at engine::kSampleRateHz
  // At the declared rate:
  int64_t concealed_samples = 0;  // filled in for a gap
  int64_t repeated_samples = 0;   // dropped, heard already
};

// Not thread-safe: used by one strand.
class AudioInput {
 public:
  virtual ~AudioInput() = default;

  // INVALID_ARGUMENT when the format is out of range.
  static absl::StatusOr<std::unique_ptr<AudioInput>> Create(const AudioFormat& format, int max_gap_ms);

  // INVALID_ARGUMENT: empty, half a sample, or damaged beyond concealment (the chunk counts as lost);
  // OUT_OF_RANGE: a gap over max_gap_ms, or an index over 2^60. After an error the next chunk is taken as if
  // this one had not come.
  virtual absl::StatusOr<AudioSamples> Push(std::string_view data, uint64_t first_sample_index) = 0;
  // The microphone pauses: what the resampler still holds. The signal may go on afterwards, and then the
  // first chunk's gap may be of any length: one over max_gap_ms is not filled, `first_sample` jumps over it.
  virtual AudioSamples Flush() = 0;
  // Whether the client leaves out silence, as it declared or as its packets show: then samples that do not
  // come are silence, else they are late.
  virtual bool dtx() const = 0;
  // The nearest index at the declared rate for an index at engine::kSampleRateHz.
  virtual uint64_t ToWireIndex(int64_t sample) const = 0;
};

}  // namespace parley::streaming

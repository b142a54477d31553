// Where chunks stand on the call's sample clock: what is missing before one, what of it was heard already.
// Pure arithmetic on indices that a client chose freely.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"

namespace parley::streaming {

// round(index * to_hz / from_hz), exact for every index up to SampleClock::kMaxIndex.
uint64_t ConvertSampleIndex(uint64_t index, int from_hz, int to_hz);

// Not thread-safe: used by one strand.
class SampleClock {
 public:
  // At 48 kHz, 760,000 years. Higher indices are refused, so that no sum or product of them overflows.
  static constexpr uint64_t kMaxIndex = uint64_t{1} << 60;

  struct Placement {
    bool starts = false;  // audio starts (again) at this chunk: nothing before it is filled
    uint64_t gap = 0;     // samples missing before the chunk
    uint64_t repeated =
        0;  // of the chunk's samples, from its start, that were heard already; at most its count
  };

  explicit SampleClock(uint64_t max_gap) : max_gap_(max_gap) {}

  // Where a chunk of `count` samples stands; moves nothing. OUT_OF_RANGE: a gap over max_gap, or an index
  // over kMaxIndex.
  absl::StatusOr<Placement> Place(uint64_t first, uint64_t count) const;
  // The chunk was taken. REQUIRES: Place said OK to it.
  void Advance(uint64_t first, uint64_t count);
  // The next chunk may leave a gap of any length; over max_gap it starts audio again.
  void Pause() { paused_ = true; }

  // The index that follows what was taken; 0 before the first chunk.
  uint64_t next() const { return next_.value_or(0); }

 private:
  const uint64_t max_gap_;
  std::optional<uint64_t> next_;
  bool paused_ = false;
};

}  // namespace parley::streaming

#include "streaming/audio/sample_clock.h"

#include <algorithm>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"

namespace parley::streaming {

uint64_t ConvertSampleIndex(uint64_t index, int from_hz, int to_hz) {
  const absl::uint128 scaled = absl::uint128(index) * static_cast<uint64_t>(to_hz);
  return absl::Uint128Low64((scaled + static_cast<uint64_t>(from_hz / 2)) / static_cast<uint64_t>(from_hz));
}

absl::StatusOr<SampleClock::Placement> SampleClock::Place(uint64_t first, uint64_t count) const {
  if (first > kMaxIndex || count > kMaxIndex - first) {
    return absl::OutOfRangeError(absl::StrCat("sample index ", first, " is over ", kMaxIndex));
  }
  if (!next_.has_value()) return Placement{.starts = true};
  if (first <= *next_) return Placement{.repeated = std::min(count, *next_ - first)};
  const uint64_t gap = first - *next_;
  if (gap <= max_gap_) return Placement{.gap = gap};
  if (paused_) return Placement{.starts = true};
  return absl::OutOfRangeError(absl::StrCat("a gap of ", gap, " samples before sample index ", first,
                                            "; at most ", max_gap_, " are filled"));
}

void SampleClock::Advance(uint64_t first, uint64_t count) {
  next_ = std::max(next_.value_or(0), first + count);
  paused_ = false;
}

}  // namespace parley::streaming

// What a caller lived through, turn by turn, from the events of one call and the times they came.
//
// Latency is counted from the schedule, not from what was sent: the end of a turn is due when the recording's
// last sample of speech and the silence that ends a turn have passed on the caller's clock, or the recording
// has ended. A sender, a network or a server that falls behind therefore shows as latency and is not left out
// (coordinated omission).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "parley/v1/parley.pb.h"

namespace parley::client {

struct TurnOutcome {
  std::string transcript;
  std::string answer;
  bool answered = false;  // ended as an answer should, not interrupted, cut off or failed
  absl::Time decision_due = absl::InfinitePast();
  absl::Time first_token = absl::InfiniteFuture();
  std::vector<absl::Duration> gaps;  // between its deltas
  v1::TurnMetrics metrics;           // what the server says of it

  absl::Duration first_token_latency() const { return first_token - decision_due; }
};

// One thread.
class TurnLog {
 public:
  // `start`, `end`: when the recording's first sample is due, and its last. `rate_hz`: of its audio.
  TurnLog(absl::Time start, absl::Time end, int rate_hz) : start_(start), end_(end), rate_hz_(rate_hz) {}

  void Observe(const v1::ServerMessage& event, absl::Time received);
  // In the order they were committed; noise that came to no answer is left out.
  std::vector<TurnOutcome> Turns() const;

 private:
  absl::Time At(uint64_t sample_index) const {
    return start_ + absl::Seconds(static_cast<double>(sample_index) / rate_hz_);
  }

  const absl::Time start_;
  const absl::Time end_;
  const int rate_hz_;
  absl::Duration silence_ = absl::Milliseconds(500);  // what SessionReady says
  std::map<uint64_t, TurnOutcome> turns_;             // by turn id
  std::map<uint64_t, absl::Time> last_token_;
};

}  // namespace parley::client

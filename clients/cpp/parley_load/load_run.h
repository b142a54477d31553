// Many calls at once, open loop: calls start at the times of a Poisson process whatever the server does, each
// plays a recording at the pace at which it was made, and each turn's latency counts from the schedule.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/parley_load/latency_histogram.h"
#include "clients/cpp/parley_load/recording.h"
#include "clients/cpp/parley_load/turn_log.h"

namespace parley::client {

// When a load counts as served.
struct Objective {
  absl::Duration first_token =
      absl::Milliseconds(300);                         // after the end of turn was due, for `share` of turns
  absl::Duration token_gap = absl::Milliseconds(100);  // at the 99th percentile
  double share = 0.99;
};

struct LoadOptions {
  double calls = 1;  // at once, on average
  absl::Duration duration = absl::Seconds(60);
  uint64_t seed = 1;
  Objective objective;
};

// One recording and what it is answered when nothing else goes on: an answer never depends on load, so every
// other answer is held against these.
struct Scene {
  Recording recording;
  std::vector<TurnOutcome> turns;
};

struct LoadResult {
  int calls_started = 0;
  int calls_ended = 0;    // properly
  int calls_refused = 0;  // RESOURCE_EXHAUSTED, UNAVAILABLE: the server said no in time
  int most_at_once = 0;
  int64_t turns = 0;  // due; after the time it takes to reach `calls`
  int64_t turns_answered = 0;
  int64_t turns_inside = 0;  // answered and first token inside the objective
  int64_t turns_other = 0;   // answered in other words than in the scene
  LatencyHistogram first_token;
  LatencyHistogram token_gap;
  LatencyHistogram lateness;            // of the sender: what it sent later than it was due
  std::map<std::string, int> failures;  // calls that failed otherwise, by what they were told
  absl::Duration took;

  bool Meets(const Objective& objective) const;
};

// Places one call and waits for its end. The error is the call's, or FAILED_PRECONDITION when it had no
// answered turn.
absl::StatusOr<Scene> PlaceAlone(const ChannelOptions& server, const v1::SessionConfig& config,
                                 Recording recording);

// Blocks for `options.duration` and until the last call has ended. Two threads a call. `progress` is called
// about once a second, by the calling thread, with what is known so far.
LoadResult RunLoad(const ChannelOptions& server, const v1::SessionConfig& config,
                   const std::vector<Scene>& scenes, const LoadOptions& options,
                   const std::function<void(const LoadResult&, int calls_now)>& progress);

}  // namespace parley::client

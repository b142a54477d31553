// The two sides of the suites that place calls: Parley's server on its engine, in this process as the callers
// are, and the same server on a composition of the peers (bench/peers/composition_server.cc), in another.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bench/harness.h"
#include "bench/live_server.h"
#include "bench/peers/worker.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/parley_load/recording.h"
#include "parley/v1/parley.pb.h"

namespace parley::bench {

struct LiveServers {
  LiveServer ours;
  std::unique_ptr<Worker> composition;
  client::ChannelOptions composition_channel;
  std::string composition_name;
};

absl::StatusOr<LiveServers> StartLiveServers(const SuiteOptions& options);

// What both sides' calls have in common, and what only ours can do: begin an answer at the pause.
v1::SessionConfig CallConfig(bool speculation);

// A question from a camera: the speech of `wav`, a second of silence after it, and `frames` pictures shown at
// even distances while it is spoken.
absl::StatusOr<client::Recording> MakeQuestion(const std::string& wav, int frames);

}  // namespace parley::bench

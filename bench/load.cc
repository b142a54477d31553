// Suite `load`: the most calls at once of which at least 99 turns in 100 have their first token in time, ours
// against the composition of the peers, by open-loop load with the sample call over real gRPC. `calls` is for
// the objective of 300 ms; `calls_1s` for a first token within a second, which one call of the composition's
// takes on a small machine.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/harness.h"
#include "bench/live_servers.h"
#include "clients/cpp/parley_load/load_run.h"
#include "clients/cpp/parley_load/report.h"

namespace parley::bench {
namespace {

constexpr double kSeconds = 30;  // of load that counts, each time
constexpr double kFirstCalls = 8;
constexpr absl::Duration kEasyTokenGap = absl::Milliseconds(300);
constexpr double kMostCalls = 128;

// One side: places calls, and searches for the most that an objective allows.
class Side {
 public:
  // `first`: calls at once that the search begins with.
  Side(std::string name, client::ChannelOptions channel, bool speculation, double first,
       absl::Duration duration)
      : name_(std::move(name)),
        channel_(std::move(channel)),
        config_(CallConfig(speculation)),
        first_(first),
        duration_(duration) {}

  absl::Status PlaceScene(const client::Recording& recording) {
    // Once for nothing.
    for (int call = 0; call < 2; ++call) {
      auto scene = client::PlaceAlone(channel_, config_, recording);
      if (!scene.ok())
        return absl::Status(scene.status().code(), absl::StrCat(name_, ": ", scene.status().message()));
      scenes_.assign(1, *std::move(scene));
    }
    return absl::OkStatus();
  }
  const std::vector<client::TurnOutcome>& turns() const { return scenes_.front().turns; }

  // Doubles until it is too much, then halves the distance until it is under a tenth. An easier objective
  // begins where the last one ended.
  double Search(const client::Objective& objective) {
    double good = most_;
    double bad = std::numeric_limits<double>::infinity();
    at_bad_ = nullptr;
    while (bad - good > std::max(1.0, good / 10)) {
      const double calls = std::isinf(bad) ? std::max(first_, 2 * good) : std::floor((good + bad) / 2);
      if (calls > kMostCalls) break;
      const nlohmann::json run = Run(calls, objective);
      const bool met = run["met"].get<bool>();
      (met ? good : bad) = calls;
      (met ? at_good_ : at_bad_) = run;
    }
    return most_ = good;
  }

  nlohmann::json Describe() const {
    nlohmann::json answers = nlohmann::json::array();
    for (const client::TurnOutcome& turn : turns()) answers.push_back({turn.transcript, turn.answer});
    return {{"answers_alone", answers}, {"at_most", at_good_}, {"too_many", at_bad_}};
  }

 private:
  nlohmann::json Run(double calls, const client::Objective& objective) {
    client::LoadOptions load;
    load.calls = calls;
    load.duration = duration_;
    load.objective = objective;
    const client::LoadResult result =
        client::RunLoad(channel_, config_, scenes_, load, [](const auto&, int) {});
    std::fprintf(stderr, "%s: %s", name_.c_str(), client::Summary(result, load).c_str());
    return nlohmann::json::parse(client::JsonLine(result, load));
  }

  const std::string name_;
  const client::ChannelOptions channel_;
  const v1::SessionConfig config_;
  const double first_;
  const absl::Duration duration_;
  std::vector<client::Scene> scenes_;
  double most_ = 0;
  nlohmann::json at_good_;
  nlohmann::json at_bad_;
};

absl::Status CheckTheyHearTheSame(const Side& ours, const Side& peer) {
  const auto& heard = ours.turns();
  if (heard.size() != 2 || heard[0].answer.find("Paris") == std::string::npos ||
      heard[1].answer.find("cat") == std::string::npos) {
    return absl::InternalError("ours does not answer the sample call with Paris and a cat: nothing is timed");
  }
  const auto& theirs = peer.turns();
  for (size_t i = 0; i < heard.size(); ++i) {
    if (i < theirs.size() && theirs[i].answered && theirs[i].transcript == heard[i].transcript) continue;
    return absl::InternalError(absl::StrCat("the composition does not hear '", heard[i].transcript,
                                            "' in the sample call: nothing is timed"));
  }
  return absl::OkStatus();
}

absl::Status Measure(const SuiteOptions& options) {
  const auto recording = client::LoadRecording(PARLEY_SOURCE_DIR "/deploy/sample/sample_call.mp4", {});
  if (!recording.ok()) return recording.status();
  const auto servers = StartLiveServers(options);
  if (!servers.ok()) return servers.status();
  const absl::Duration duration = absl::Seconds(options.seconds > 0 ? options.seconds : kSeconds);
  Side ours("ours", servers->ours.channel(), true, kFirstCalls, duration);
  Side peer("the composition", servers->composition_channel, false, 1, duration);
  for (Side* side : {&ours, &peer}) {
    if (absl::Status status = side->PlaceScene(*recording); !status.ok()) return status;
  }
  if (absl::Status status = CheckTheyHearTheSame(ours, peer); !status.ok()) return status;

  client::Objective objective;
  for (const char* name : {"calls", "calls_1s"}) {
    if (std::string_view(name) == "calls_1s") objective = {absl::Seconds(1), kEasyTokenGap, objective.share};
    Figure figure = {.suite = "load", .name = name, .ours = ours.Search(objective), .unit = "calls"};
    figure.peer = peer.Search(objective);  // none: 0, and no ratio
    figure.peer_name = servers->composition_name;
    figure.setting = {{"threads", options.threads},
                      {"arithmetic", servers->ours.info().arithmetic},
                      {"seconds", absl::ToDoubleSeconds(duration)},
                      {"first_token_ms", absl::ToDoubleMilliseconds(objective.first_token)},
                      {"token_gap_ms", absl::ToDoubleMilliseconds(objective.token_gap)},
                      {"ours", ours.Describe()},
                      {"composition", peer.Describe()}};
    Print(figure);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "The most calls in time, against the peers in sequence.",
                                  parley::bench::Measure);
}

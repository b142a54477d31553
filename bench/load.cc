// Suite `load`: the most calls at once of which at least 99 turns in 100 have their first token in time, ours
// against the composition of the peers, by open-loop load with the sample call over real gRPC.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/harness.h"
#include "bench/live_servers.h"
#include "clients/cpp/parley_load/load_run.h"
#include "clients/cpp/parley_load/report.h"

namespace parley::bench {
namespace {

constexpr double kSeconds = 40;  // of load that counts, each time
constexpr double kMostCalls = 128;

// Searches one side: doubles until it is too much, then halves the distance.
class Side {
 public:
  Side(const LiveServer& server, bool speculation, absl::Duration duration)
      : channel_(server.channel()), config_(CallConfig(speculation)), duration_(duration) {}

  absl::Status PlaceScene(const client::Recording& recording) {
    // Once for nothing.
    for (int call = 0; call < 2; ++call) {
      auto scene = client::PlaceAlone(channel_, config_, recording);
      if (!scene.ok()) return scene.status();
      scenes_.assign(1, *std::move(scene));
    }
    return absl::OkStatus();
  }
  const std::vector<client::TurnOutcome>& turns() const { return scenes_.front().turns; }

  bool found() const { return bad_ - good_ <= std::max(1.0, good_ / 10); }
  double most() const { return good_; }

  void Step(const std::string& name) {
    const double calls = std::isinf(bad_) ? std::max(1.0, 2 * good_) : std::floor((good_ + bad_) / 2);
    if (calls > kMostCalls) {
      bad_ = good_;
      return;
    }
    client::LoadOptions load;
    load.calls = calls;
    load.duration = duration_;
    const client::LoadResult result =
        client::RunLoad(channel_, config_, scenes_, load, [](const auto&, int) {});
    std::fprintf(stderr, "%s: %s", name.c_str(), client::Summary(result, load).c_str());
    const bool meets = result.Meets(load.objective);
    (meets ? good_ : bad_) = calls;
    (meets ? at_good_ : at_bad_) = nlohmann::json::parse(client::JsonLine(result, load));
  }

  nlohmann::json Describe() const {
    nlohmann::json answers = nlohmann::json::array();
    for (const client::TurnOutcome& turn : turns()) answers.push_back({turn.transcript, turn.answer});
    return {{"answers_alone", answers}, {"at_most", at_good_}, {"too_many", at_bad_}};
  }

 private:
  const client::ChannelOptions channel_;
  const v1::SessionConfig config_;
  const absl::Duration duration_;
  std::vector<client::Scene> scenes_;
  double good_ = 0;
  double bad_ = std::numeric_limits<double>::infinity();
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
  const auto servers = StartLiveServers(options, options.peers_dir + "/speech/2s.wav");
  if (!servers.ok()) return servers.status();
  const absl::Duration duration = absl::Seconds(options.seconds > 0 ? options.seconds : kSeconds);
  Side ours(servers->ours, true, duration);
  Side peer(servers->composition, false, duration);
  for (Side* side : {&ours, &peer}) {
    if (absl::Status status = side->PlaceScene(*recording); !status.ok()) return status;
  }
  if (absl::Status status = CheckTheyHearTheSame(ours, peer); !status.ok()) return status;
  while (!ours.found() || !peer.found()) {
    if (!ours.found()) ours.Step("ours");
    if (!peer.found()) peer.Step("the composition");
  }

  Figure figure = {.suite = "load", .name = "calls", .ours = ours.most()};
  figure.peer = peer.most();
  figure.peer_name = absl::StrCat(servers->composition.info().audio_tower, ", then ",
                                  servers->composition.info().language_model);
  figure.unit = "calls";
  const client::Objective objective;
  figure.setting = {{"threads", options.threads},
                    {"arithmetic", servers->ours.info().arithmetic},
                    {"seconds", absl::ToDoubleSeconds(duration)},
                    {"first_token_ms", absl::ToDoubleMilliseconds(objective.first_token)},
                    {"token_gap_ms", absl::ToDoubleMilliseconds(objective.token_gap)},
                    {"ours", ours.Describe()},
                    {"composition", peer.Describe()}};
  Print(figure);
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "The most calls in time, against the peers in sequence.",
                                  parley::bench::Measure);
}

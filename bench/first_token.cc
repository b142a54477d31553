// Suite `first_token`: from the end of turn decided to the answer's first token at the server's door, one
// call at a time: ours, ours with work while speaking switched off, and the composition of the peers.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/harness.h"
#include "bench/live_servers.h"
#include "bench/speech_clips.h"
#include "clients/cpp/parley_load/load_run.h"

namespace parley::bench {
namespace {

struct Question {
  const char* clip;
  int frames;
  int calls;  // of each side, at least
};
constexpr Question kQuestions[] = {{"3s", 0, 20}, {"3s", 4, 20}, {"10s", 16, 10}};

v1::SessionConfig QuestionConfig(const client::Recording& question, bool speculation) {
  v1::SessionConfig config = CallConfig(speculation);
  if (!question.video_format.has_value()) return config;
  // Every picture is looked at, and stays.
  config.mutable_video_policy()->set_speaking_fps(10);
  config.mutable_video_policy()->set_silent_fps(10);
  config.mutable_video_policy()->set_scene_threshold(0);
  config.mutable_context_policy()->set_max_frames(32);
  return config;
}

// What one side's calls took, milliseconds.
class Side {
 public:
  Side(std::string name, client::ChannelOptions channel, bool speculation)
      : name_(std::move(name)), channel_(std::move(channel)), speculation_(speculation) {}

  absl::Status Place(const Clip& clip, const client::Recording& question, bool counts) {
    auto call = client::PlaceAlone(channel_, QuestionConfig(question, speculation_), question);
    if (!call.ok())
      return absl::Status(call.status().code(), absl::StrCat(name_, ": ", call.status().message()));
    if (call->turns.size() != 1 || !call->turns[0].answered) {
      return absl::InternalError(
          absl::StrCat(name_, " heard ", call->turns.size(), " turns in ", question.path));
    }
    const client::TurnOutcome& turn = call->turns[0];
    if (absl::Status status = CheckWords(name_, clip, turn.transcript); !status.ok()) return status;
    answer_ = turn.answer;
    if (!counts) return absl::OkStatus();
    const v1::TurnMetrics& metrics = turn.metrics;
    const auto add = [this](const char* stage, uint64_t us) {
      stages_[stage].push_back(1e-3 * static_cast<double>(us));
    };
    // The clock's resolution: a token that was there has no less.
    latency_.push_back(1e-3 * static_cast<double>(std::max<uint64_t>(metrics.response_latency_us(), 1)));
    add("speech_queue", metrics.speech_queue_us());
    add("speech_encode", metrics.speech_encode_us());
    add("prefill_queue", metrics.prefill_queue_us());
    add("prefill", metrics.prefill_us());
    add("first_token", metrics.first_token_us());
    add("first_write", metrics.first_write_us());
    add("ready_before_decision", metrics.held_us());
    client_latency_.push_back(absl::ToDoubleMilliseconds(turn.first_token_latency()));
    hits_ += metrics.speculation() == v1::TurnMetrics::HIT ? 1 : 0;
    return absl::OkStatus();
  }

  double Quantile(double q) const {
    std::vector<double> sorted = latency_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[std::min(sorted.size() - 1, static_cast<size_t>(q * static_cast<double>(sorted.size())))];
  }
  nlohmann::json Describe() const {
    nlohmann::json json = {{"calls", latency_.size()},  {"p50_ms", Quantile(0.5)},
                           {"p95_ms", Quantile(0.95)},  {"client_p50_ms", Median(client_latency_)},
                           {"speculation_hits", hits_}, {"answer", answer_}};
    for (const auto& [stage, ms] : stages_) json["stages_ms"][stage] = Median(ms);
    return json;
  }

 private:
  const std::string name_;
  const client::ChannelOptions channel_;
  const bool speculation_;
  std::string answer_;
  std::vector<double> latency_;
  std::vector<double> client_latency_;
  std::map<std::string, std::vector<double>> stages_;
  int hits_ = 0;
};

absl::Status Measure(const SuiteOptions& options) {
  const auto clips = ReadClips(options);
  if (!clips.ok()) return clips.status();
  std::map<std::string, const Clip*> by_name;
  for (const Clip& clip : *clips) by_name[clip.name] = &clip;
  const auto servers = StartLiveServers(options);
  if (!servers.ok()) return servers.status();

  for (const Question& question : kQuestions) {
    const Clip& clip = *by_name.at(question.clip);
    const auto recording = MakeQuestion(clip.path, question.frames);
    if (!recording.ok()) return recording.status();
    Side ours("ours", servers->ours.channel(), true);
    Side plain("ours without speculation", servers->ours.channel(), false);
    Side peer("the composition", servers->composition_channel, false);
    const double end = Now() + options.seconds;
    for (int call = -1; call < question.calls || Now() < end; ++call) {
      for (Side* side : {&ours, &plain, &peer}) {
        if (absl::Status status = side->Place(clip, *recording, call >= 0); !status.ok()) return status;
      }
    }
    const auto print = [&](const char* suffix, const Side& side, double quantile) {
      Figure figure = {.suite = "first_token",
                       .name = absl::StrCat(question.clip, "_", question.frames, "frames", suffix),
                       .ours = side.Quantile(quantile)};
      figure.peer = peer.Quantile(quantile);
      figure.peer_name = servers->composition_name;
      figure.unit = "ms";
      figure.better = Better::kLower;
      figure.setting = {{"threads", options.threads},
                        {"arithmetic", servers->ours.info().arithmetic},
                        {"ours", side.Describe()},
                        {"composition", peer.Describe()}};
      Print(figure);
    };
    print("", ours, 0.5);
    print("_p95", ours, 0.95);
    print("_without_speculation", plain, 0.5);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "End of turn to first token, against the peers in sequence.",
                                  parley::bench::Measure);
}

#include "bench/harness.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <thread>
#include <utility>

#include "base/number_text.h"
#include "base/processors.h"
#include "base/standard_streams.h"

namespace parley::bench {
namespace {

constexpr double kHopeless = 1.5;

CLI::Validator Valid(NumberCheck check) {
  return CLI::Validator(std::move(check.fault), std::move(check.range));
}

absl::StatusOr<double> RunRested(const Run& run, const Pace& pace) {
  std::this_thread::sleep_for(pace.rest);
  return run();
}

absl::StatusOr<std::vector<double>> RunInTurns(const std::vector<const Run*>& sides, const Pace& pace) {
  std::vector<std::vector<double>> values(sides.size());
  const double end = Now() + pace.seconds;
  for (int round = 0; round < kRounds || Now() < end; ++round) {
    for (size_t i = 0; i < sides.size(); ++i) {
      const absl::StatusOr<double> value = RunRested(*sides[i], pace);
      if (!value.ok()) return value.status();
      values[i].push_back(*value);
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& side : values) medians.push_back(Median(std::move(side)));
  return medians;
}

double HowMuchBetter(double value, double than, Better better) {
  return better == Better::kHigher ? value / than : than / value;
}

}  // namespace

double Ratio(const Figure& figure) { return HowMuchBetter(figure.ours, *figure.peer, figure.better); }

std::string JsonLine(const Figure& figure) {
  nlohmann::json line = {
      {"suite", figure.suite}, {"figure", figure.name},
      {"ours", figure.ours},   {"peer", nullptr},
      {"peer_name", nullptr},  {"ratio", nullptr},
      {"unit", figure.unit},   {"better", figure.better == Better::kHigher ? "higher" : "lower"},
      {"limit", nullptr},      {"setting", figure.setting},
      {"cpu", CpuName()}};
  if (figure.peer.has_value()) {
    line["peer"] = *figure.peer;
    line["peer_name"] = figure.peer_name;
    line["ratio"] = Ratio(figure);
  }
  if (figure.limit.has_value()) line["limit"] = *figure.limit;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void Print(const Figure& figure) {
  std::printf("%s\n", JsonLine(figure).c_str());
  std::fflush(stdout);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

absl::StatusOr<std::vector<double>> Alternate(const std::vector<Run>& sides, const Pace& pace) {
  std::vector<const Run*> all;
  for (const Run& side : sides) {
    if (const absl::StatusOr<double> value = RunRested(side, pace); !value.ok()) return value.status();
    all.push_back(&side);
  }
  return RunInTurns(all, pace);
}

absl::StatusOr<Comparison> Compare(const Run& ours, const std::vector<Run>& peers, Better better,
                                   const Pace& pace) {
  Comparison result;
  if (const absl::StatusOr<double> value = RunRested(ours, pace); !value.ok()) return value.status();
  for (const Run& peer : peers) {
    const absl::StatusOr<double> value = RunRested(peer, pace);
    if (!value.ok()) return value.status();
    result.peers.push_back(*value);
  }
  const auto is_worse = [better](double a, double b) { return HowMuchBetter(a, b, better) < 1; };
  const double best = *std::max_element(result.peers.begin(), result.peers.end(), is_worse);

  std::vector<const Run*> sides = {&ours};
  std::vector<size_t> kept;
  for (size_t i = 0; i < peers.size(); ++i) {
    if (HowMuchBetter(best, result.peers[i], better) > kHopeless) continue;
    sides.push_back(&peers[i]);
    kept.push_back(i);
  }
  const absl::StatusOr<std::vector<double>> medians = RunInTurns(sides, pace);
  if (!medians.ok()) return medians.status();
  result.ours = medians->front();
  result.best = kept.front();
  for (size_t i = 0; i < kept.size(); ++i) {
    result.peers[kept[i]] = (*medians)[i + 1];
    if (is_worse(result.peers[result.best], result.peers[kept[i]])) result.best = kept[i];
  }
  return result;
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

int ProcessorCount() { return UsableProcessors().usable; }

int SuiteMain(int argc, char** argv, absl::string_view description,
              const std::function<absl::Status(const SuiteOptions&)>& body) {
  OpenStandardStreams();
  SuiteOptions options;
  CLI::App app(std::string(description) + "\nPrints one JSON object a figure. Run it by bench/run.");
  app.add_option("--model", options.model_dir, "The bundle's folder")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--peers", options.peers_dir, "The folder that bench/peers/install made")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--threads", options.threads, "Threads of both sides; 0: as many as the machine has")
      ->check(Valid(WholeNumber(0, 256)));
  app.add_option("--seconds", options.seconds, "How long each figure is measured, at least five rounds")
      ->check(Valid(FiniteNumber(0, 86'400)));
  CLI11_PARSE(app, argc, argv);
  if (options.threads == 0) options.threads = ProcessorCount();
  const absl::Status status = body(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s: %s\n", argv[0], status.ToString().c_str());
  return 1;
}

}  // namespace parley::bench

// What every suite shares: its options, its clock, and the form of a figure (docs/BENCHMARKS.md has the form
// and the figures' names). A suite is one program: it checks that both sides say the same, then times them in
// turns and prints one JSON object a figure.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley::bench {

// The command line of every suite; bench/run fills in the folders.
struct SuiteOptions {
  std::string model_dir;  // the bundle parley-small
  std::string peers_dir;  // what bench/peers/install made
  int threads = 0;        // of both sides; 0: as many as the machine has
  double seconds = 0;     // a figure's rounds go on for so long, and are at least kRounds
};

inline constexpr int kRounds = 5;

// Which way a figure's unit runs.
enum class Better { kHigher, kLower };

struct Figure {
  std::string suite;
  std::string name;
  double ours = 0;
  std::optional<double> peer;  // none: measured alone
  std::string peer_name;
  std::string unit;
  Better better = Better::kHigher;
  // What this machine's memory and multiply units would allow ours at best, in the figure's unit.
  std::optional<double> limit;
  nlohmann::json setting = nlohmann::json::object();
};

// How many times better ours is, whichever way the unit runs. REQUIRES: a peer.
double Ratio(const Figure& figure);
// One line, without its end.
std::string JsonLine(const Figure& figure);
// To standard output, at once.
void Print(const Figure& figure);

// REQUIRES: at least one value.
double Median(std::vector<double> values);

// One side of a comparison: does the work once and returns the figure's value.
using Run = std::function<absl::StatusOr<double>()>;

struct Pace {
  double seconds = 0;  // rounds go on for so long, and are at least kRounds
  // Before each run, so that the other side's threads are asleep: llama.cpp's wait for more work with a
  // processor each, for a quarter of a second.
  std::chrono::milliseconds rest{400};
};

// Runs the sides in turns, first to last, over and over; before that each runs once for nothing. Returns each
// side's median, or the first error.
absl::StatusOr<std::vector<double>> Alternate(const std::vector<Run>& sides, const Pace& pace);

// The same against the best of several peers. A peer that its run for nothing shows to be more than 1.5 times
// worse than the best of them is not run again; its value stays what that run gave.
struct Comparison {
  double ours = 0;
  std::vector<double> peers;
  size_t best = 0;  // of peers
};
absl::StatusOr<Comparison> Compare(const Run& ours, const std::vector<Run>& peers, Better better,
                                   const Pace& pace);

// Seconds since some fixed moment.
double Now();
std::string CpuName();
int ProcessorCount();

// A suite's main(): reads the options, runs `body`, prints its error with the program's name; the exit code.
int SuiteMain(int argc, char** argv, absl::string_view description,
              const std::function<absl::Status(const SuiteOptions&)>& body);

}  // namespace parley::bench

// parley-load: many calls at once, to find out what a server bears.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/standard_streams.h"
#include "clients/cpp/parley_load/load_run.h"
#include "clients/cpp/parley_load/options.h"
#include "clients/cpp/parley_load/report.h"

namespace parley::client {
namespace {

int Fail(const std::string& message) {
  std::cerr << "parley-load: " << message << std::endl;
  return 1;
}

class LoadProgram {
 public:
  explicit LoadProgram(LoadProgramOptions options) : options_(std::move(options)) {}

  int Run() {
    if (const absl::Status status = PlaceScenes(); !status.ok()) return Fail(std::string(status.message()));
    return options_.search ? Search() : (RunOnce(options_.load.calls) ? 0 : 1);
  }

 private:
  absl::Status PlaceScenes() {
    auto channel = MakeChannel(options_.channel);
    if (!channel.ok()) return channel.status();
    if (absl::Status status = WaitUntilServing(*channel, absl::Seconds(options_.wait_s)); !status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat(options_.channel.server, " is not ready: ", status.message()));
    }
    for (const std::string& file : options_.files) {
      auto recording = LoadRecording(file, options_.source);
      if (!recording.ok()) return recording.status();
      if (recording->missing > absl::ZeroDuration()) {
        std::cerr << "parley-load: " << file << " was cut: its last "
                  << absl::FormatDuration(recording->missing) << " are missing" << std::endl;
      }
      std::cerr << file << ": one call alone, " << absl::ToInt64Seconds(recording->length) << " s"
                << std::endl;
      auto scene = PlaceAlone(options_.channel, options_.config, *std::move(recording));
      if (!scene.ok()) return scene.status();
      for (const TurnOutcome& turn : scene->turns) {
        std::cerr << "  " << turn.transcript << " -> " << turn.answer << " ("
                  << absl::ToInt64Milliseconds(turn.first_token_latency()) << " ms)" << std::endl;
      }
      scenes_.push_back(*std::move(scene));
    }
    return absl::OkStatus();
  }

  // Whether the objective was met.
  bool RunOnce(double calls) {
    LoadOptions load = options_.load;
    load.calls = calls;
    const bool terminal = isatty(STDERR_FILENO) != 0;
    int reports = 0;
    const LoadResult result =
        RunLoad(options_.channel, options_.config, scenes_, load, [&](const LoadResult& so_far, int live) {
          if (terminal) {
            std::cerr << "\r\033[K" << ProgressLine(so_far, live) << std::flush;
          } else if (++reports % 10 == 0) {
            std::cerr << ProgressLine(so_far, live) << std::endl;
          }
        });
    if (terminal) std::cerr << "\r\033[K" << std::flush;
    (options_.json == "-" ? std::cerr : std::cout) << Summary(result, load) << std::flush;
    if (options_.json == "-") {
      std::cout << JsonLine(result, load) << std::endl;
    } else if (!options_.json.empty()) {
      std::ofstream(options_.json, std::ios::app) << JsonLine(result, load) << std::endl;
    }
    return result.Meets(load.objective);
  }

  // Doubles until it is too much, then halves the distance until it is under a tenth.
  int Search() {
    double good = 0;
    double bad = options_.most_calls;
    for (double calls = options_.load.calls; calls < bad; calls *= 2) {
      if (RunOnce(calls)) {
        good = calls;
      } else {
        bad = calls;
      }
    }
    while (bad - good > std::max(1.0, good / 10)) {
      const double calls = std::floor((good + bad) / 2);
      if (calls <= good || calls >= bad) break;
      (RunOnce(calls) ? good : bad) = calls;
    }
    std::cout << "the most calls at once inside the objective: " << good << std::endl;
    return good > 0 ? 0 : 1;
  }

  const LoadProgramOptions options_;
  std::vector<Scene> scenes_;
};

}  // namespace
}  // namespace parley::client

int main(int argc, char** argv) {
  parley::OpenStandardStreams();
  int exit_code = 0;
  auto options = parley::client::ParseLoadOptions(argc, argv, &exit_code);
  if (!options.has_value()) return exit_code;
  return parley::client::LoadProgram(*std::move(options)).Run();
}
